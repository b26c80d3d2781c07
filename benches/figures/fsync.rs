//! What the disk takes to keep 8 KiB, at this moment.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::Result;

/// Writes that are measured.
const WRITES: usize = 200;

/// The median time of a write with fdatasync in `folder`.
pub(crate) fn median(folder: &Path) -> Result<Duration> {
    Ok(sorted(folder)?[WRITES / 2])
}

/// Times of writes with fdatasync in `folder`, the shortest first.
pub(crate) fn sorted(folder: &Path) -> Result<Vec<Duration>> {
    let path = folder.join("fsync");
    let mut file = File::create(&path)?;
    let mut times = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        let began = Instant::now();
        file.write_all(&[0; 8192])?;
        file.sync_data()?;
        times.push(began.elapsed());
    }
    std::fs::remove_file(path)?;
    times.sort();
    Ok(times)
}
