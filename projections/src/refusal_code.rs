//! The codes of refusals, each with its class.
//!
//! A code is part of the contract: it is never renamed and never used for anything else.

/// The class of a refusal, from which the HTTP status follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalClass {
    /// It names something that is not there.
    NotFound,
    /// It does not fit what is there.
    Conflict,
    /// It breaks a limit.
    TooLarge,
    /// What it brings is not what it says.
    Unfit,
    /// The sender may not.
    Forbidden,
    /// It must come with the plan that its sender was shown.
    Unplanned,
}

macro_rules! refusal_codes {
    ($($(#[$doc:meta])* $name:ident = $class:ident $text:literal;)*) => {
        /// A code that a valid request is refused with.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum RefusalCode {
            $($(#[$doc])* $name,)*
        }

        impl RefusalCode {
            /// Every code, sorted by its text.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The code as it is written.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The class of refusals with this code.
            #[must_use]
            pub const fn class(self) -> RefusalClass {
                match self { $(Self::$name => RefusalClass::$class,)* }
            }
        }
    };
}

refusal_codes! {
    /// The node is enrolled with other labels.
    AlreadyEnrolled = Conflict "already_enrolled";
    /// The request changes files of more nodes than the guard allows.
    BlastRadius = Conflict "blast_radius";
    /// The bundle would have more members than one can have.
    BundleTooLarge = TooLarge "bundle_too_large";
    /// A document was changed since a rollout staged its change.
    ChangesStale = Conflict "changes_stale";
    /// The lease token is not that of the job's current claim.
    ClaimLost = Conflict "claim_lost";
    /// A document of that id is there that was not made by accepting a proposal.
    DocumentTaken = Conflict "document_taken";
    /// The list of a bundle's members is empty.
    EmptyBundle = Conflict "empty_bundle";
    /// The event would have more data than an event can have.
    EventTooLarge = TooLarge "event_too_large";
    /// Other entities refer to the entity.
    InUse = Conflict "in_use";
    /// The join token lets in another node only.
    JoinOtherNode = Conflict "join_other_node";
    /// The join token was used up, has expired or was revoked.
    JoinTokenEnded = Conflict "join_token_ended";
    /// There was a join token of this id before.
    JoinTokenExists = Conflict "join_token_exists";
    /// The key is another one's, or was that of a barred node.
    KeyInUse = Conflict "key_in_use";
    /// Without this administrator nobody could send commands.
    LastAdmin = Conflict "last_admin";
    /// The mark names another position.
    MarkExists = Conflict "mark_exists";
    /// The node is shut out of NATS.
    NodeBarred = Conflict "node_barred";
    /// The node takes part no more.
    NodeRetired = Conflict "node_retired";
    /// The content is called JSON and is none.
    NotJson = Unfit "not_json";
    /// The sender may read, and asks for a change.
    NotPermitted = Forbidden "not_permitted";
    /// A member of the bundle belongs to another one.
    OwnedElsewhere = Conflict "owned_elsewhere";
    /// One path would have to be a file and a folder.
    PathConflict = Conflict "path_conflict";
    /// Another rollout changes a document at the same path.
    PathInRollout = Conflict "path_in_rollout";
    /// The request would remove what leaves a bundle, and came without a plan.
    PlanNeeded = Unplanned "plan_needed";
    /// The principal is there with another role or token.
    PrincipalExists = Conflict "principal_exists";
    /// The proposal has ended.
    ProposalEnded = Conflict "proposal_ended";
    /// The node proposed something else under the same id.
    ProposalReused = Conflict "proposal_reused";
    /// The proposal rests on another file than is desired now.
    ProposalStale = Conflict "proposal_stale";
    /// A node's record would be too large to publish.
    RecordTooLarge = TooLarge "record_too_large";
    /// An aborted rollout took this revision back.
    RevisionAborted = Conflict "revision_aborted";
    /// The rollout changes no document.
    RolloutEmpty = Conflict "rollout_empty";
    /// There was a rollout of that id before.
    RolloutExists = Conflict "rollout_exists";
    /// The rollout can't be ended as good yet.
    RolloutNotProven = Conflict "rollout_not_proven";
    /// A rollout that has not ended changes the document.
    RolloutOpen = Conflict "rollout_open";
    /// The rollout is not in a status in which this can be done.
    RolloutStatus = Conflict "rollout_status";
    /// The rollout would change more documents than one can.
    RolloutTooLarge = TooLarge "rollout_too_large";
    /// The job has another spec by now.
    SpecChanged = Conflict "spec_changed";
    /// The spec of a job would be too large.
    SpecTooLarge = TooLarge "spec_too_large";
    /// Another stage of the rollout is open.
    StageNotOpen = Conflict "stage_not_open";
    /// The rollout has more failures than it would go on with.
    StillFailing = Conflict "still_failing";
    /// The token belongs to another principal.
    TokenInUse = Conflict "token_in_use";
    /// A node would get too many files.
    TooManyEntries = TooLarge "too_many_entries";
    /// The request would have too many events.
    TooManyEvents = TooLarge "too_many_events";
    /// Too many proposals of a node wait for a decision.
    TooManyProposals = Conflict "too_many_proposals";
    /// Too many rollouts are open.
    TooManyRollouts = TooLarge "too_many_rollouts";
    /// The log holds no content of the digest.
    UnknownContent = NotFound "unknown_content";
    /// There is no such entity.
    UnknownEntity = NotFound "unknown_entity";
    /// A member of the bundle is not there.
    UnknownMember = NotFound "unknown_member";
    /// The log has no such position yet.
    UnknownPosition = NotFound "unknown_position";
    /// The entity has another version than the sender expects.
    VersionConflict = Conflict "version_conflict";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_distinct_and_snake_case() {
        assert!(RefusalCode::ALL.is_sorted_by(|one, other| one.as_str() < other.as_str()));
        for code in RefusalCode::ALL {
            assert!(code.as_str().bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase()), "{code:?}");
        }
    }
}
