//! What the sender of a refused request gets beside the message: the stable code, and the field that is at fault.

use alloc::format;
use alloc::string::String;

use schema::entity::Kind;

use super::{Refusal, RequestRefusal};
use crate::refusal_code::RefusalCode;

impl Refusal {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> RefusalCode {
        match self {
            Self::Unknown(_) | Self::UnknownReference { .. } => RefusalCode::UnknownEntity,
            Self::VersionConflict { .. } => RefusalCode::VersionConflict,
            Self::PathConflict { .. } => RefusalCode::PathConflict,
            Self::AlreadyEnrolled(_) | Self::NodeExists(_) => RefusalCode::AlreadyEnrolled,
            Self::Barred(_) => RefusalCode::NodeBarred,
            Self::KeyInUse { .. } => RefusalCode::KeyInUse,
            Self::JoinTokenExists(_) => RefusalCode::JoinTokenExists,
            Self::JoinTokenEnded { .. } => RefusalCode::JoinTokenEnded,
            Self::JoinOtherNode { .. } => RefusalCode::JoinOtherNode,
            Self::Retired(_) | Self::RetiredRuntime(_) | Self::RetiredTarget(_) => RefusalCode::NodeRetired,
            Self::PrincipalExists(_) => RefusalCode::PrincipalExists,
            Self::TokenInUse => RefusalCode::TokenInUse,
            Self::LastAdmin(_) => RefusalCode::LastAdmin,
            Self::NotPermitted(_) => RefusalCode::NotPermitted,
            Self::InUse { .. } => RefusalCode::InUse,
            Self::ClaimLost(_) => RefusalCode::ClaimLost,
            Self::SpecChanged { .. } => RefusalCode::SpecChanged,
            Self::SpecTooLarge { .. } => RefusalCode::SpecTooLarge,
            Self::TooManyEvents => RefusalCode::TooManyEvents,
            Self::NotJson { .. } => RefusalCode::NotJson,
            Self::EventTooLarge { .. } => RefusalCode::EventTooLarge,
            Self::ProposalEnded { .. } => RefusalCode::ProposalEnded,
            Self::ProposalStale(_) => RefusalCode::ProposalStale,
            Self::DocumentTaken(_) => RefusalCode::DocumentTaken,
            Self::ProposalReused(_) => RefusalCode::ProposalReused,
            Self::TooManyProposals(_) => RefusalCode::TooManyProposals,
            Self::UnknownContent(_) => RefusalCode::UnknownContent,
            Self::BundleTooLarge { .. } => RefusalCode::BundleTooLarge,
            Self::EmptyBundle(_) => RefusalCode::EmptyBundle,
            Self::UnknownMember(_) => RefusalCode::UnknownMember,
            Self::OwnedElsewhere { .. } => RefusalCode::OwnedElsewhere,
            Self::PlanNeeded { .. } => RefusalCode::PlanNeeded,
            Self::MarkExists { .. } => RefusalCode::MarkExists,
            Self::MarkAhead { .. } => RefusalCode::UnknownPosition,
            Self::Rollout(refusal) => refusal.code(),
            Self::TooManyEntries { .. } => RefusalCode::TooManyEntries,
            Self::RecordTooLarge { .. } => RefusalCode::RecordTooLarge,
        }
    }

    /// The field of the command that is at fault; empty for the whole.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Unknown(entity) => match entity.kind {
                Kind::Principal => "name",
                _ => "id",
            },
            Self::VersionConflict { .. } => "expected_version",
            Self::PathConflict { field, .. } => field,
            Self::NotJson { .. } => "content",
            Self::AlreadyEnrolled(_) | Self::Retired(_) | Self::Barred(_) | Self::JoinTokenExists(_) => "id",
            Self::NodeExists(_) | Self::JoinOtherNode { .. } => "node",
            Self::JoinTokenEnded { .. } => "token",
            Self::KeyInUse { field, .. } => field,
            Self::PrincipalExists(_) | Self::LastAdmin(_) => "name",
            Self::TokenInUse => "token_hash",
            Self::NotPermitted(_) | Self::EventTooLarge { .. } => "",
            // It follows from all of the request, and no command of it is more at fault than another.
            Self::TooManyEntries { .. } | Self::RecordTooLarge { .. } => "commands",
            Self::UnknownReference { field, .. } => field,
            Self::InUse { .. } => "id",
            Self::ProposalEnded { .. } | Self::ProposalStale(_) | Self::DocumentTaken(_) => "id",
            Self::ProposalReused(_) => "id",
            Self::TooManyProposals(_) => "node",
            Self::UnknownContent(_) => "content_digest",
            Self::BundleTooLarge { .. }
            | Self::EmptyBundle(_)
            | Self::UnknownMember(_)
            | Self::OwnedElsewhere { .. }
            | Self::PlanNeeded { .. } => "members",
            Self::MarkExists { .. } | Self::MarkAhead { .. } => "position",
            Self::Rollout(refusal) => refusal.field(),
            Self::RetiredRuntime(_) => "runtime",
            Self::RetiredTarget(_) => "target",
            Self::ClaimLost(_) => "token",
            Self::SpecChanged { .. } => "spec_digest",
            Self::SpecTooLarge { .. } | Self::TooManyEvents => "",
        }
    }
}

impl Refusal {
    /// The same refusal of a command that has the path of a document by another field.
    pub(crate) fn in_field(self, field: &'static str) -> Self {
        match self {
            Self::PathConflict { path, other, document, .. } => Self::PathConflict { field, path, other, document },
            refusal => refusal,
        }
    }
}

impl RequestRefusal {
    /// The offending field as the sender wrote it: `commands[3].path`.
    #[must_use]
    pub fn field(&self) -> String {
        match (self.command, self.refusal.field()) {
            (None, field) => field.into(),
            (Some(index), "") => format!("commands[{index}]"),
            (Some(index), field) => format!("commands[{index}].{field}"),
        }
    }
}
