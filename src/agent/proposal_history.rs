//! What became of the last proposals of a node: `proposals.json`, for `edge proposals` and `edge status`.

use std::fs;
use std::io;

use program::durable_file::{self, FileMode};
use schema::id::ProposalUuid;
use schema::proposal_message::Verdict;
use serde::{Deserialize, Serialize};

use crate::disk;
use crate::layout::Layout;

/// How many proposals are kept; the oldest are dropped.
pub const PAST_PROPOSALS_MAX: usize = 32;

/// A proposal with what its node was told last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastProposal {
    /// The id that the node gave it.
    pub id: ProposalUuid,
    /// The path of the file.
    pub path: String,
    /// What became of it.
    pub verdict: Verdict,
}

/// The last proposals, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposalHistory {
    /// Each with its last verdict.
    pub proposals: Vec<PastProposal>,
}

impl ProposalHistory {
    /// The history in a folder. One that can't be read is none: it decides nothing.
    #[must_use]
    pub fn read(layout: &Layout) -> Self {
        let text = fs::read(path(layout)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Notes a verdict, durably; false if it is known already.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn note(&mut self, layout: &Layout, past: PastProposal) -> io::Result<bool> {
        if self.proposals.contains(&past) {
            return Ok(false);
        }
        self.proposals.retain(|known| known.id != past.id);
        self.proposals.push(past);
        let over = self.proposals.len().saturating_sub(PAST_PROPOSALS_MAX);
        self.proposals.drain(..over);
        let text = serde_json::to_vec_pretty(self).expect("BUG: texts and numbers can be written as JSON");
        durable_file::replace(&path(layout), &text, FileMode::Exact(disk::FILE_MODE))?;
        Ok(true)
    }
}

fn path(layout: &Layout) -> std::path::PathBuf {
    layout.root().join("proposals.json")
}
