//! What a decision depends on beside the command and the state.

use schema::id::LogId;
use schema::instant::Instant;

use super::assignments::Assignments;
use super::claims::TokenSeed;

/// What a decision depends on beside the command and the state.
#[derive(Debug)]
pub struct DecisionContext<'a> {
    /// The id of the log.
    pub log_id: LogId,
    /// The time that the command's events will bear.
    pub at: Instant,
    /// The seed of the lease tokens that the command hands out.
    pub seed: TokenSeed,
    /// The bundles that the request assigns.
    pub assignments: &'a Assignments,
    /// Whether the request passes over what keeps people from mistakes.
    pub now: bool,
    /// Whether the command may remove what leaves a bundle: its sender has seen the plan, or nothing is appended.
    pub may_remove: bool,
}
