//! NIST's LOW baseline imported by one command, from the file to the last event, and imported again.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use lab::dev;
use tokio::process::Command;

use crate::{Figure, Result, fsync};

/// Where the given inputs are.
const TEST_DATA: &str = "HEADWATER_TEST_DATA";
const CATALOG: &str = "oscal/nist-800-53r5-low-catalog.json";

pub(crate) async fn figures() -> Result<Vec<Figure>> {
    let Some(data) = std::env::var_os(TEST_DATA) else {
        return Ok(vec![Figure::new(format!("did not run: {TEST_DATA} names no folder"), "-", "")]);
    };
    let catalog = PathBuf::from(data).join(CATALOG);
    let folder = tempfile::TempDir::new()?;
    // PostgreSQL's account may enter it.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711))?;
    let program = PathBuf::from(env!("CARGO_BIN_EXE_headwater"));
    let dir = folder.path().join("dev");
    let running = dev::start(dev::Options { dir, nodes: 0, program: Some(program), ..dev::Options::default() }).await?;
    let disk = fsync::median(folder.path())?;
    let first = import(&running.json, &catalog).await?;
    let again = import(&running.json, &catalog).await?;
    running.stop().await;
    let beside = format!("fsync {:.2} ms", disk.as_secs_f64() * 1e3);
    let row = |what: &str, took: Duration| Figure::new(what, format!("{:.0} ms", took.as_secs_f64() * 1e3), &beside);
    Ok(vec![
        row("the LOW catalog, 149 controls, into an empty log", first),
        row("the same file again: nothing changes", again),
    ])
}

async fn import(dev: &dev::DevJson, catalog: &std::path::Path) -> Result<Duration> {
    let began = Instant::now();
    let ended = Command::new(env!("CARGO_BIN_EXE_headwater"))
        .args(["import", "oscal", "--json"])
        .arg(catalog)
        .env("HEADWATER_URL", &dev.http)
        .env("HEADWATER_TOKEN", &dev.tokens.admin)
        .stdout(Stdio::null())
        .status()
        .await?;
    if ended.success() { Ok(began.elapsed()) } else { Err(format!("the import {ended}").into()) }
}
