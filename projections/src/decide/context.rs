//! What a decision depends on beside the command and the state.

use schema::id::LogId;
use schema::instant::Instant;

use super::claims::TokenSeed;

/// What a decision depends on beside the command and the state.
#[derive(Clone, Debug)]
pub struct DecisionContext {
    /// The id of the log.
    pub log_id: LogId,
    /// The time that the command's events will bear.
    pub at: Instant,
    /// The seed of the lease tokens that the command hands out.
    pub seed: TokenSeed,
}
