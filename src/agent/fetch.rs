//! Fetches missing content from the object store into the cache.
//!
//! Invariants: a file gets its digest as its name only after its bytes had that digest; memory holds a few chunks, whatever the
//! sizes; an interrupted fetch leaves only a file whose name begins with a dot.

use std::io;
use std::path::Path;

use bus::objects::{Objects, ReadError};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use projections::plan::FetchedContent;
use schema::id::LogId;
use tokio::fs;

use crate::apply_error::ApplyError;
use crate::disk;
use crate::layout::Layout;

/// Parallel fetches: enough to hide the latency of a far server, few enough to hold a chunk of each in memory.
const AT_ONCE: usize = 4;

/// The contents of `wanted` that are not in the cache.
///
/// # Errors
/// If the disk fails, or `blobs` is not a folder of the agent.
pub fn missing(layout: &Layout, wanted: &[FetchedContent]) -> Result<Vec<FetchedContent>, ApplyError> {
    disk::ensure_dir(&layout.blobs())?;
    let mut missing = Vec::new();
    for content in wanted {
        let path = layout.blob(content.digest);
        match std::fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_file() && meta.len() == content.size => {}
            Ok(_) => missing.push(*content),
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(*content),
            Err(error) => return Err(ApplyError::disk("look at", &path)(error)),
        }
    }
    Ok(missing)
}

/// Fetches every content of `missing`, of records of this log, into the cache.
///
/// # Errors
/// The first failure. Contents that were fetched before it stay in the cache.
pub async fn fetch(
    objects: &Objects,
    layout: &Layout,
    log_id: LogId,
    missing: Vec<FetchedContent>,
) -> Result<(), ApplyError> {
    let one = |content| fetch_one(objects, layout, log_id, content);
    stream::iter(missing).map(one).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    let blobs = layout.blobs();
    disk::sync(&blobs).map_err(ApplyError::disk("sync", &blobs))
}

async fn fetch_one(
    objects: &Objects,
    layout: &Layout,
    log_id: LogId,
    content: FetchedContent,
) -> Result<(), ApplyError> {
    let (path, beside) = (layout.blob(content.digest), layout.blobs().join(format!(".{}.new", content.digest)));
    let fetch = async {
        let file = match copy(objects, &beside, log_id, content).await {
            // A plain object goes when its ciphertext stands, perhaps while it is read.
            Err(ApplyError::Fetch { source: ReadError::Missing(_), .. }) => {
                copy(objects, &beside, log_id, content).await?
            }
            copied => copied?,
        };
        file.sync_all().await.map_err(ApplyError::disk("sync", &beside))?;
        disk::remove_unless_file(&path).map_err(ApplyError::disk("clear", &path))?;
        fs::rename(&beside, &path).await.map_err(ApplyError::disk("name", &path))
    };
    let fetched = fetch.await;
    if fetched.is_err() {
        // A full disk must not stay full because of a partial file.
        let _ = disk::remove(&beside);
    }
    fetched
}

/// Writes a content to a new file.
async fn copy(
    objects: &Objects,
    path: &Path,
    log_id: LogId,
    FetchedContent { digest, size }: FetchedContent,
) -> Result<fs::File, ApplyError> {
    let mut file = fs::File::from_std(disk::create(path, disk::FILE_MODE).map_err(ApplyError::disk("write", path))?);
    objects.read(log_id, digest, size, &mut file).await.map_err(|source| ApplyError::Fetch { digest, source })?;
    Ok(file)
}
