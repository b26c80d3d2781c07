//! Missing content into the cache.
//!
//! What always holds: a file under a digest's name had that digest when it got its name; memory holds a few chunks, whatever
//! the sizes; a fetch that broke off leaves nothing but a name that begins with a dot.

use std::io;

use bus::objects::Objects;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use projections::plan::FetchedContent;
use tokio::fs;

use crate::apply_error::ApplyError;
use crate::disk;
use crate::layout::Layout;

/// Objects on their way at once: enough to hide the way to a far server, few enough to hold their chunks in memory.
const AT_ONCE: usize = 4;

/// What of `wanted` is not in the cache.
///
/// # Errors
/// If the disk fails, or the cache is not the agent's.
pub fn missing(layout: &Layout, wanted: &[FetchedContent]) -> Result<Vec<FetchedContent>, ApplyError> {
    disk::own_dir(&layout.blobs())?;
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

/// Has every content of `missing` in the cache.
///
/// # Errors
/// The first that could not be had. What came before it stays in the cache.
pub async fn fetch(objects: &Objects, layout: &Layout, missing: Vec<FetchedContent>) -> Result<(), ApplyError> {
    let one = |content| fetch_one(objects, layout, content);
    stream::iter(missing).map(one).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    let blobs = layout.blobs();
    disk::sync_dir(&blobs).map_err(ApplyError::disk("sync", &blobs))
}

async fn fetch_one(
    objects: &Objects,
    layout: &Layout,
    FetchedContent { digest, size }: FetchedContent,
) -> Result<(), ApplyError> {
    let (path, beside) = (layout.blob(digest), layout.blobs().join(format!(".{digest}.new")));
    let fetched = async {
        let file = disk::create(&beside).map_err(ApplyError::disk("write", &beside))?;
        let mut file = fs::File::from_std(file);
        objects.read(digest, size, &mut file).await.map_err(|source| ApplyError::Fetch { digest, source })?;
        file.sync_all().await.map_err(ApplyError::disk("sync", &beside))?;
        disk::remove_unless_file(&path).map_err(ApplyError::disk("clear", &path))?;
        fs::rename(&beside, &path).await.map_err(ApplyError::disk("name", &path))
    };
    let fetched = fetched.await;
    if fetched.is_err() {
        // A full disk must not be kept full by what is of no use.
        let _ = disk::remove(&beside);
    }
    fetched
}
