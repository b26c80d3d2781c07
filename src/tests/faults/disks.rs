//! Disks: a small one of its own for whom it is to run full.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::story::{NODES, PLAIN, Stage, Story, open_dir, scenarios};
use testkit::eventually::eventually;

/// The first node's folder is on a small disk of its own.
const ON_A_SMALL_DISK: Stage = Stage { small_disk: Some("nodes/a"), ..PLAIN };
/// How large such a disk is: room for a cluster with its write-ahead log.
const DISK_MIB: usize = 160;
/// How long anything may take that happens by itself.
const SOON: Duration = Duration::from_secs(30);

scenarios! {
    disk_of_a_node_is_full: ON_A_SMALL_DISK, fill_disk, free_disk;
}

async fn fill_disk(story: &mut Story) {
    says_so(story).await;
    story.lasts().await;
    // It does not become a word of success again as long as newer records can't be accepted.
    says_so(story).await;
    let dir = story.fleet.agents[NODES[0]].dir.to_str().unwrap().to_owned();
    let (code, said) = story.fleet.run(&["edge", "status", "--dir", &dir]).await;
    assert!(code == Some(1) && said.contains("failed (disk_full)"), "{said}");
}

/// The node's newest report is of the record that it could not accept, and that it lacks.
async fn says_so(story: &Story) {
    let api = story.fleet.api().clone();
    let disk = story.props.disk.as_ref().unwrap();
    eventually("the node says that its disk is full", SOON, async || {
        // The node may have taken a generation away since, and then has room for one more each time.
        disk.fill();
        let node = api.get(&format!("/v1/nodes/{}", NODES[0])).await?;
        let reported = &node.body["reported"];
        let (tried, seen) = (&reported["attempt"]["position"], &reported["seen"]["position"]);
        let is_newer = tried.as_u64().is_some_and(|tried| seen.as_u64().is_none_or(|seen| tried > seen));
        match reported["attempt"]["code"].as_str() {
            Some("disk_full") if is_newer => Ok(()),
            _ => Err(node.body.to_string()),
        }
    })
    .await;
}

async fn free_disk(story: &mut Story) {
    story.props.disk.as_ref().unwrap().free();
}

/// A disk in memory. It goes when this is dropped.
pub(crate) struct Disk(TempDir);

impl Disk {
    /// Makes one, and puts it where `place` is to be.
    pub(crate) fn at(place: &Path) -> Self {
        let disk = Self(open_dir());
        std::fs::create_dir(disk.root()).unwrap();
        let size = format!("size={DISK_MIB}m,mode=755");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(disk.root()));
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(disk.root(), place).unwrap();
        disk
    }

    /// Whether this process may make one.
    pub(crate) fn is_possible() -> bool {
        rustix::process::geteuid().is_root()
    }

    fn root(&self) -> PathBuf {
        self.0.path().join("disk")
    }

    /// Fills what is free of it to the last byte.
    pub(crate) fn fill(&self) {
        let mut ballast = File::options().append(true).create(true).open(self.root().join("ballast")).unwrap();
        for piece in [1 << 20, 4096, 1] {
            while ballast.write_all(&vec![0; piece]).is_ok() {}
        }
    }

    /// Makes room again.
    pub(crate) fn free(&self) {
        std::fs::remove_file(self.root().join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: whoever still has a file there keeps it until it ends.
        let _best_effort = Command::new("umount").arg("-l").arg(self.root()).status();
    }
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}
