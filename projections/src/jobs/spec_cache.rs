//! A cache for one job's spec, rendered at first use.
//!
//! The fold replaces the cache by an empty one whenever anything changes that the spec depends on. All snapshots that share
//! a cache would therefore render the same spec. The cache is not part of the state: any two compare as equal. Rendering
//! needs the whole state and is in [`crate::spec`].

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;

use once_cell::race::OnceBox;
use schema::digest::Digest;

/// A rendered spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderedSpec {
    /// The JSON with sorted members and no spaces.
    pub bytes: Arc<[u8]>,
    /// SHA-256 of the bytes.
    pub digest: Digest,
}

/// A spec, after its first use.
#[derive(Clone, Default)]
pub(super) struct SpecCache(Arc<OnceBox<RenderedSpec>>);

impl SpecCache {
    pub(super) fn get_or_render(&self, render: impl FnOnce() -> RenderedSpec) -> &RenderedSpec {
        self.0.get_or_init(|| Box::new(render()))
    }
}

impl PartialEq for SpecCache {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for SpecCache {}

impl fmt::Debug for SpecCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SpecCache")
    }
}
