//! A command as the JSON that asks for it.

use alloc::string::{String, ToString as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::ser::Error as _;
use serde::{Serialize, Serializer};

use super::compliance::Renewal;
use super::content::PutContent;
use super::form::Only;
use super::identity::OwnLog;
use super::labelling::LabelNodeForm;
use super::{Command, Named, PutDocument, PutDocumentForm};

/// A command with the `type` by which it is known.
#[derive(Serialize)]
struct TypedCommand<T> {
    r#type: &'static str,
    #[serde(flatten)]
    members: T,
}

/// An entity's id and its definition.
#[derive(Serialize)]
struct Defined<I, T> {
    id: I,
    #[serde(flatten)]
    definition: T,
}

impl Serialize for Command {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(name) = self.json_type() else { return Err(S::Error::custom("no JSON asks for this command")) };
        macro_rules! written {
            ($members:expr) => {
                TypedCommand { r#type: name, members: $members }.serialize(serializer)
            };
        }
        match self {
            Self::PutDocument(put) => written!(PutDocumentForm::from(put)),
            Self::RemoveDocument(remove) => written!(remove),
            Self::EnrolNode(enrol) => written!(enrol),
            Self::LabelNode(id, labels) | Self::PutNode(id, labels) => {
                written!(LabelNodeForm { id: id.clone(), labels: labels.clone() })
            }
            Self::RetireNode(id) | Self::RetryNode(id) | Self::BarNode(id) => written!(Only { id }),
            Self::CreatePrincipal(create) => written!(create),
            Self::RevokePrincipal(name) => written!(Named { name: name.clone() }),
            Self::DefineControl(id, definition) => written!(Defined { id, definition }),
            Self::DefineComponent(id, definition) => written!(Defined { id, definition }),
            Self::DefineAssessment(id, definition) => written!(Defined { id, definition }),
            Self::DefineAttestation(id, definition) => written!(Defined { id, definition }),
            Self::RemoveControl(id) => written!(Only { id }),
            Self::RemoveComponent(id) => written!(Only { id }),
            Self::RemoveAssessment(id) => written!(Only { id }),
            Self::RemoveAttestation(id) => written!(Only { id }),
            Self::ClaimJobs(claim) => written!(claim),
            Self::RenewClaims(runtime) => written!(Renewal { runtime: runtime.clone() }),
            Self::ReleaseJobs(release) => written!(release),
            Self::CompleteJob(complete) => written!(complete),
            Self::SetNodeKeys(set) => written!(set),
            Self::CreateJoinToken(create) => written!(create),
            Self::RevokeJoinToken(id) => written!(Only { id }),
            Self::CloseBus(id) => written!(OwnLog { id: *id }),
            Self::AcceptProposal(accept) => written!(accept),
            Self::RejectProposal(reject) => written!(reject),
            Self::AssignBundle(assign) => written!(assign),
            Self::RemoveBundle(id) => written!(Only { id }),
            Self::Mark(mark) => written!(mark),
            Self::RelabelNodes(relabel) => written!(relabel),
            Self::OpenRollout(id, definition) => written!(Defined { id, definition }),
            Self::StartRollout(id) | Self::PauseRollout(id) | Self::AbortRollout(id) | Self::CompleteRollout(id) => {
                written!(Only { id })
            }
            Self::ResumeRollout(resume) => written!(resume),
            Self::ApproveStage(approve) => written!(approve),
            Self::SetGuard(guard) => written!(guard),
            Self::AdvanceRollout(_)
            | Self::ReplaceToken(_)
            | Self::NoteReport(..)
            | Self::ExpireClaim(..)
            | Self::DismissNode(_)
            | Self::JoinNode(_)
            | Self::Propose(_)
            | Self::WithdrawProposal(..) => unreachable!("BUG: it has no `type`"),
        }
    }
}

impl From<&PutDocument> for PutDocumentForm {
    fn from(put: &PutDocument) -> Self {
        let PutDocument { id, path, media_type, content, target, priority, merge, mode, rollout } = put.clone();
        let (mut text, mut base64, mut digest) = (None, None, None);
        match &content {
            PutContent::Given(given) => match core::str::from_utf8(given.bytes()) {
                // Text can't hold U+0000 in JSON that Headwater takes.
                Ok(utf8) if !utf8.contains('\0') => text = Some(utf8.to_string()),
                _ => base64 = Some(STANDARD.encode(given.bytes())),
            },
            PutContent::Known(_) | PutContent::Named(_) => digest = Some(content.digest()),
        }
        let (content, content_base64, content_digest): (Option<String>, _, _) = (text, base64, digest);
        Self { id, path, media_type, content, content_base64, content_digest, target, priority, merge, mode, rollout }
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;

    use serde_json::{Value, json};

    use super::*;
    use crate::command::TYPES;
    use crate::node_keys::KeyBytes;
    use crate::seal::SecretKey;

    fn examples() -> Vec<Value> {
        let (digest, uuid) = ("ab".repeat(32), "0198f7a2-7c7b-7def-8000-000000000001");
        let schedule = "0 4 * * *";
        let Value::Array(examples) = json!([
            {"type": "put_document", "id": "d", "path": "a/b", "media_type": "text/plain", "content": "ü", "target": {"all": true}, "priority": -1},
            {"type": "put_document", "id": "d", "path": "a", "media_type": "a/b", "content_base64": "AP8=", "target": {"nodes": ["n"]}, "priority": 0, "mode": "755"},
            {"type": "put_document", "id": "d", "path": "a", "media_type": "a/b", "content_digest": digest, "target": {"match_labels": {"a": "b"}}, "priority": 0},
            {"type": "remove_document", "id": "d"},
            {"type": "put_document", "id": "d", "path": "a", "media_type": "a/b", "content": "", "target": {"all": true}, "priority": 0, "rollout": "r"},
            {"type": "remove_document", "id": "d", "rollout": "r"},
            {"type": "enrol_node", "id": "n", "labels": {"a": "b"}},
            {"type": "label_node", "id": "n", "labels": {}},
            {"type": "put_node", "id": "n", "labels": {"a": "b"}},
            {"type": "retire_node", "id": "n"},
            {"type": "retry_node", "id": "n"},
            {"type": "bar_node", "id": "n"},
            {"type": "create_principal", "name": "ann", "role": "admin", "token_hash": digest},
            {"type": "revoke_principal", "name": "ann"},
            {"type": "define_control", "id": "c", "title": "T", "parameters": {"a": "b"}},
            {"type": "define_component", "id": "c", "title": "T", "controls": ["c"]},
            {"type": "define_assessment", "id": "a", "title": "T", "control": "c", "component_selector": {"match_labels": {}}, "schedule": schedule},
            {"type": "define_assessment", "id": "a", "title": "T", "control": "c", "components": ["c"], "schedule": schedule},
            {"type": "define_attestation", "id": "a", "assessment": "a", "title": "T", "provider": {"name": "p"}, "selector": {}, "schedule": schedule},
            {"type": "remove_control", "id": "c"},
            {"type": "remove_component", "id": "c"},
            {"type": "remove_assessment", "id": "a"},
            {"type": "remove_attestation", "id": "a"},
            {"type": "claim_jobs", "runtime": "n", "limit": 3},
            {"type": "renew_claims", "runtime": "n"},
            {"type": "release_jobs", "runtime": "n"},
            {"type": "release_jobs", "runtime": "n", "jobs": ["j"]},
            {"type": "complete_job", "job": "j", "token": digest, "spec_digest": digest, "outcome": "passed", "evidence": ""},
            {"type": "revoke_join_token", "id": "t"},
            {"type": "close_bus", "id": uuid},
            {"type": "accept_proposal", "id": "p", "anyway": true},
            {"type": "reject_proposal", "id": "p", "reason": "no"},
            {"type": "assign_bundle", "id": "b", "members": ["document/d", "node/n"], "grow": true},
            {"type": "remove_bundle", "id": "b"},
            {"type": "mark", "id": "m", "position": 7, "move": true},
            {"type": "relabel_nodes", "target": {"all": true}, "set": {"a": "b"}, "unset": ["c"]},
        ]) else {
            unreachable!("a list");
        };
        let key = |byte: u8| KeyBytes::from(&SecretKey::from_seed(&[byte; 32]).public());
        let keys = json!({"bus": key(1), "say": key(2)});
        let with_keys = [
            json!({"type": "set_node_keys", "id": "n", "keys": keys}),
            json!({"type": "create_join_token", "id": "t", "key": key(1), "uses": 2}),
        ];
        let Value::Array(of_rollouts) = json!([
            {"type": "open_rollout", "id": "r", "max_in_flight": 2, "stages": [
                {"name": "canary", "select": {"match_labels": {"canary": "1"}}, "up_to": {"count": 3}, "at_least": 2, "bake_s": 20, "gate": "approval"},
            ]},
            {"type": "start_rollout", "id": "r"},
            {"type": "pause_rollout", "id": "r"},
            {"type": "resume_rollout", "id": "r", "max_failures": {"count": 2}},
            {"type": "approve_stage", "id": "r", "stage": "canary"},
            {"type": "abort_rollout", "id": "r"},
            {"type": "complete_rollout", "id": "r"},
            {"type": "set_guard", "nodes_max": 10},
        ]) else {
            unreachable!("a list");
        };
        examples.into_iter().chain(with_keys).chain(of_rollouts).collect()
    }

    fn read(mut value: Value) -> Command {
        let fields = value.as_object_mut().expect("an object");
        let kind = fields.remove("type").and_then(|kind| kind.as_str().map(String::from)).expect("a type");
        Command::read(&kind, fields.clone()).unwrap_or_else(|refused| panic!("{kind}: {refused:?}"))
    }

    #[test]
    fn every_command_that_json_asks_for_is_written_as_what_reads_the_same() {
        let examples = examples();
        for example in &examples {
            let command = read(example.clone());
            let written = serde_json::to_value(&command).expect("JSON");
            assert_eq!(read(written), command);
        }
        let named: BTreeSet<&str> = examples.iter().filter_map(|example| example["type"].as_str()).collect();
        let all: BTreeSet<&str> = TYPES.iter().map(|(name, _)| *name).collect();
        assert_eq!(named, all);
    }
}
