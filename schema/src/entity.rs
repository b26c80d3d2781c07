//! Entities, the subjects of events, and actors, their causes.

use alloc::format;
use alloc::string::ToString;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::Digest;
use crate::id::{Id, JoinTokenId, LogId, NodeId, PrincipalName};
use crate::invalid::InputError;
use crate::text_form;
use crate::variant::UnknownVariantName;

entities! {
    /// A piece of configuration with a path and a target.
    Document(DocumentId) = "document";
    /// A machine that runs what is desired of it.
    Node(NodeId) = "node";
    /// A user of the HTTP API.
    Principal(PrincipalName) = "principal";
    /// A node's report; an entity of its own, so that a report does not change the node's version.
    Report = "report";
    /// A requirement, such as one of NIST SP 800-53.
    Control(ControlId) = "control";
    /// A system or a part of one, to which controls apply.
    Component(ComponentId) = "component";
    /// A plan of how to find out whether a control holds for components.
    Assessment(AssessmentId) = "assessment";
    /// One check of an assessment.
    Attestation(AttestationId) = "attestation";
    /// The work of an attestation, and the claim on it.
    Job(JobId) = "job";
    /// A node as a runtime; an entity of its own, so that a renewal does not change the node's version.
    Runtime = "runtime";
    /// The log itself, by its id.
    Log = "log";
    /// A token with which nodes join.
    JoinToken(JoinTokenId) = "join_token";
    /// A file that a node proposes for itself, and what became of it.
    Proposal(ProposalId) = "proposal";
    /// A set of documents, definitions and nodes that are managed together.
    Bundle(BundleId) = "bundle";
    /// A name for a position of the log.
    Mark(MarkId) = "mark";
    /// What a request would change, as it was shown before the request was sent.
    Plan(PlanId) = "plan";
    /// Changes of documents that reach nodes stage by stage.
    Rollout(RolloutId) = "rollout";
    /// What keeps a request from changing too many nodes at once.
    Guard = "guard";
    /// All nodes together. A command about many nodes is about it; no event is.
    Fleet = "fleet";
}

/// One thing with a history: written `<kind>/<id>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entity {
    /// The kind, the part before the slash.
    pub kind: Kind,
    /// The id, unique among the entities of its kind.
    pub id: Id,
}

impl Entity {
    /// A log.
    #[must_use]
    pub fn log(log: LogId) -> Self {
        let id = log.to_string().parse().expect("BUG: a UUID is an id");
        Self { kind: Kind::Log, id }
    }

    /// A plan, known by the first half of its digest.
    #[must_use]
    pub fn plan(plan: &Digest) -> Self {
        let id = hex::encode(&plan.as_bytes()[..16]).parse().expect("BUG: hex digits are an id");
        Self { kind: Kind::Plan, id }
    }

    /// All nodes of a log together.
    #[must_use]
    pub fn fleet() -> Self {
        Self { kind: Kind::Fleet, id: "all".parse().expect("BUG: a word is an id") }
    }

    /// The guard of a log: there is one.
    #[must_use]
    pub fn guard() -> Self {
        Self { kind: Kind::Guard, id: "fleet".parse().expect("BUG: a word is an id") }
    }

    /// The report of a node.
    #[must_use]
    pub fn report(node: &NodeId) -> Self {
        Self { kind: Kind::Report, id: node.id().clone() }
    }

    /// Reads an entity that a program of any version wrote: its kind may be one that only newer programs know.
    ///
    /// # Errors
    /// `invalid_value` or `invalid_id`, if the text is not `<kind>/<id>`.
    pub fn of_any_kind(text: &str) -> Result<Self, InputError> {
        let (kind, id) = text.split_once('/').ok_or_else(|| not_an_entity(text))?;
        let kind = match Kind::ALL.into_iter().find(|known| known.name() == kind) {
            Some(known) => known,
            None => Kind::Unknown(kind.parse().map_err(|_| not_an_entity(text))?),
        };
        Ok(Self { kind, id: id.parse()? })
    }

    /// A node in its part as a runtime.
    #[must_use]
    pub fn runtime(node: &NodeId) -> Self {
        Self { kind: Kind::Runtime, id: node.id().clone() }
    }
}

/// Only kinds that this program knows: what a person asks for by another one is a mistake.
impl FromStr for Entity {
    type Err = InputError;

    fn from_str(text: &str) -> Result<Self, InputError> {
        match Self::of_any_kind(text)? {
            Self { kind: Kind::Unknown(_), .. } => Err(not_an_entity(text)),
            known => Ok(known),
        }
    }
}

fn not_an_entity(text: &str) -> InputError {
    InputError::new("invalid_value", format!("`{text}` is not <kind>/<id> of a known kind"))
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.name(), self.id)
    }
}

impl fmt::Debug for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Who caused an event: a principal by name, a node as `node/<id>`, the holder of a join token as `join/<token>`, or a part of
/// Headwater itself as `system/<part>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Actor {
    /// A principal who used the HTTP API.
    Principal(PrincipalName),
    /// A node that asked over NATS, for itself.
    Node(NodeId),
    /// `headwater install`, which makes the first administrator.
    Install,
    /// The active reconciler, which turns what nodes say into commands.
    Reconciler,
    /// `headwater recover`, which begins a log anew.
    Recovery,
    /// A node that joined with this token.
    Join(JoinTokenId),
    /// An actor of a kind, or a part of Headwater, that only newer programs know: what it may do is not known either.
    Unknown(UnknownVariantName, Id),
}

impl Actor {
    /// The actor's text in two parts.
    pub(crate) fn parts(&self) -> [&str; 3] {
        match self {
            Self::Principal(name) => ["", "", name.as_str()],
            Self::Node(node) => ["node", "/", node.as_str()],
            Self::Install => ["system", "/", "install"],
            Self::Reconciler => ["system", "/", "reconciler"],
            Self::Recovery => ["system", "/", "recovery"],
            Self::Join(token) => ["join", "/", token.as_str()],
            Self::Unknown(kind, id) => [kind.as_str(), "/", id.as_str()],
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts().into_iter().try_for_each(|part| f.write_str(part))
    }
}

impl FromStr for Actor {
    type Err = InputError;

    fn from_str(text: &str) -> Result<Self, InputError> {
        let Some((kind, id)) = text.split_once('/') else { return text.parse().map(Self::Principal) };
        match (kind, id) {
            ("system", "install") => Ok(Self::Install),
            ("system", "reconciler") => Ok(Self::Reconciler),
            ("system", "recovery") => Ok(Self::Recovery),
            ("node", node) => node.parse().map(Self::Node),
            ("join", token) => token.parse().map(Self::Join),
            (kind, id) => Ok(Self::Unknown(kind.parse()?, id.parse()?)),
        }
    }
}

/// Text on every wire, read back by a function of the type.
macro_rules! as_text {
    ($name:ident read by $read:expr) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.to_string())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                text_form::read_by(deserializer, $read)
            }
        }
    };
}

as_text!(Entity read by Entity::of_any_kind);
as_text!(Actor read by Actor::from_str);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_and_actors_are_read_as_they_are_written() {
        for text in
            ["document/loki", "node/n-1", "principal/ann", "report/n-1", "control/ac-2_1", "runtime/n-1", "log/l-1"]
        {
            assert_eq!(text.parse::<Entity>().map(|e| e.to_string()), Ok(text.to_string()));
        }
        for text in ["ann", "node/n-1", "system/install", "system/reconciler", "system/recovery", "join/t-1"] {
            assert!(!matches!(text.parse(), Ok(Actor::Unknown(..))), "{text}");
        }
        for newer in ["system/stranger", "robot/r-1"] {
            assert!(matches!(newer.parse(), Ok(Actor::Unknown(..))), "{newer}");
        }
        for text in ["ann", "node/n-1", "system/recovery", "join/t-1", "system/stranger", "robot/r-1"] {
            assert_eq!(text.parse::<Actor>().map(|a| a.to_string()), Ok(text.to_string()));
        }
        for refused in ["document", "planet/mars", "node/", "node/a/b"] {
            assert!(refused.parse::<Entity>().is_err(), "{refused}");
        }
        for refused in ["node/", "node/a/b", "node/node/a", "join/", "Robot/r-1", "/r-1"] {
            assert!(refused.parse::<Actor>().is_err(), "{refused}");
        }
    }
}
