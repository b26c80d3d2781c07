//! inotify on the generation in force.
//!
//! It only makes the agent compare sooner: without inotify, or when the user has no watch left, the full comparison every 15 s
//! finds the drift.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use schema::report::RecordRef;
use tokio::io::unix::AsyncFd;

use crate::layout::Layout;

/// Debounce: events within this time count as one.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// Names in the node's folder whose change matters.
const ROOT_NAMES: [Option<&CStr>; 2] = [Some(c"current"), Some(c"lock")];
/// Holds a few dozen events.
const BUFFER_BYTES: usize = 4 * 1024;

/// Watches one generation and the link to it.
#[derive(Debug)]
pub(crate) struct TreeWatch {
    /// The generation that is watched.
    pub(crate) record_ref: RecordRef,
    inotify: AsyncFd<OwnedFd>,
    root: i32,
    /// Whether an event came since the last comparison.
    is_changed: bool,
}

impl TreeWatch {
    /// Watches the generation of `record_ref` and the symlink.
    ///
    /// # Errors
    /// If the kernel has no inotify, or no watch left for this user.
    pub(crate) fn of(layout: &Layout, record_ref: RecordRef) -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let names = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVED_FROM | WatchFlags::MOVED_TO;
        let root = inotify::add_watch(&inotify, layout.root(), names | WatchFlags::ONLYDIR)?;
        watch_below(&inotify, &layout.generation(record_ref), names | WatchFlags::CLOSE_WRITE | WatchFlags::ATTRIB)?;
        #[expect(deprecated, reason = "its successor is unsafe for what can lose its descriptor; an OwnedFd can't")]
        let inotify = AsyncFd::new(inotify)?;
        Ok(Self { record_ref, inotify, root, is_changed: false })
    }

    /// Stops watching, on a blocking thread: closing an inotify descriptor takes the kernel some 15 ms.
    pub(crate) fn end(self) {
        let inotify = self.inotify.into_inner();
        drop(tokio::task::spawn_blocking(move || drop(inotify)));
    }

    /// Waits until something has changed. Cancel-safe.
    pub(crate) async fn changed(&mut self) {
        while !self.is_changed {
            let Ok(mut ready) = self.inotify.readable().await else { return std::future::pending().await };
            match ready.try_io(|inotify| is_changed(inotify.get_ref(), self.root)) {
                Ok(Ok(is_changed)) => self.is_changed = is_changed,
                Err(_) => {}
                Ok(Err(_)) => return std::future::pending().await,
            }
        }
        tokio::time::sleep(DEBOUNCE).await;
        self.is_changed = false;
    }
}

/// Reads all queued events. In the node's folder only two names count: `current`, and `lock`, whose removal would let a second
/// agent in.
fn is_changed(inotify: &OwnedFd, root: i32) -> io::Result<bool> {
    let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
    let mut events = Reader::new(inotify, &mut buffer);
    let (mut is_changed, mut any) = (false, false);
    loop {
        match events.next() {
            Ok(event) => {
                is_changed |= event.wd() != root || ROOT_NAMES.contains(&event.file_name());
                any = true;
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) if any => return Ok(is_changed),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Watches a folder and all folders below it; links are not followed.
fn watch_below(inotify: &OwnedFd, dir: &Path, events: WatchFlags) -> io::Result<()> {
    inotify::add_watch(inotify, dir, events | WatchFlags::ONLYDIR | WatchFlags::DONT_FOLLOW)?;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            watch_below(inotify, &entry.path(), events)?;
        }
    }
    Ok(())
}
