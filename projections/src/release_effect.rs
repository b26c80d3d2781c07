//! What a release makes of a node's record.
//!
//! A release is only assumed here: the state with it is made, looked at, and forgotten.

use imbl::OrdMap;
use schema::desired::digest_of;
use schema::digest::Digest;
use schema::id::{NodeId, RolloutId};

use crate::configuration::Configuration;
use crate::fold::is_unwell;
use crate::render::render;
use crate::rollouts::Release;

/// What a release makes of a node's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReleaseEffect {
    /// It has this digest.
    Changed(Digest),
    /// It stays as it is.
    Moot,
}

impl Configuration {
    /// What a node's record becomes by its release; none if the node is busy with what it has.
    pub(crate) fn release_effect(&self, rollout: &RolloutId, node: &NodeId) -> Option<ReleaseEffect> {
        let before = self.settled_digest(node)?;
        let after = self.released(rollout, node).record_digest(node)?;
        Some(if after == before { ReleaseEffect::Moot } else { ReleaseEffect::Changed(after) })
    }

    /// The digest of a node's record; none if the node is busy with it.
    pub(crate) fn settled_digest(&self, node: &NodeId) -> Option<Digest> {
        let before = self.record_digest(node)?;
        let summary = self.reports().get(node).map(|noted| &*noted.summary);
        // A node that never said what it runs runs nothing.
        let runs = summary.and_then(|summary| summary.running).map_or_else(|| digest_of([]), |running| running.digest);
        let good = summary.and_then(|summary| summary.good()).map_or_else(|| digest_of([]), |good| good.digest);
        if (runs, good) != (before, before) && !summary.is_some_and(is_unwell) {
            return None;
        }
        Some(before)
    }

    /// The digest of a node's record.
    pub(crate) fn record_digest(&self, node: &NodeId) -> Option<Digest> {
        render(self, node).map(|manifest| manifest.digest)
    }

    /// The same configuration, as if a rollout had released a node.
    #[must_use]
    pub fn released(&self, rollout: &RolloutId, node: &NodeId) -> Self {
        self.with_releases(node, |releases| drop(releases.insert(rollout.clone(), Release::assumed())))
    }

    /// The same configuration, as if a rollout had not released a node.
    #[must_use]
    pub fn unreleased(&self, rollout: &RolloutId, node: &NodeId) -> Self {
        self.with_releases(node, |releases| drop(releases.remove(rollout)))
    }

    /// The same configuration, as if other rollouts had released a node.
    pub(crate) fn with_releases(&self, node: &NodeId, change: impl FnOnce(&mut OrdMap<RolloutId, Release>)) -> Self {
        let mut assumed = self.clone();
        change(assumed.rollouts.releases.entry(node.clone()).or_default());
        assumed
    }
}
