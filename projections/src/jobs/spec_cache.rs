//! A job's spec, rendered when it is first asked for, and then remembered.
//!
//! The fold puts an empty memo in place whenever anything changes that the spec follows from. So whoever shares one, in
//! however many snapshots, would render the same; it is no part of the state, and equal to any other. How a spec is
//! rendered is absent on purpose: that takes the whole state, of which this is one of the smallest pieces.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;

use once_cell::race::OnceBox;
use schema::digest::Digest;

/// A rendered spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderedSpec {
    /// Its canonical bytes.
    pub bytes: Arc<[u8]>,
    /// Names them.
    pub digest: Digest,
}

/// A spec, once somebody asked for it.
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
        f.write_str("Memo")
    }
}
