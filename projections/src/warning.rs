//! Warnings about likely mistakes of a request's sender. A warning refuses nothing.
//!
//! Always: a warning is a function of the request and the state before it, as the answer is, so that a dry run, the request
//! and its repetition under a key get the same warnings.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use schema::answer::CommandWarning;
use schema::command::{Command, ContentForm, PutDocument};
use schema::id::{NodeId, ProposalId, RolloutId};
use schema::labels::Labels;
use schema::request::RequestItem;
use schema::target::Target;

use crate::configuration::Configuration;
use crate::refusal::Refusal;
use crate::render::render;

/// How many nodes, labels or documents a warning names at most.
const NAMED_MAX: usize = 5;
/// Characters of a label's key that a warning repeats.
const KEY_CHARS_MAX: usize = 64;

/// A stable code with its sentence.
type Notice = (&'static str, String);

/// The warnings of a request that is being decided.
#[derive(Debug, Default)]
pub(crate) struct Warnings(Vec<CommandWarning>);

impl Warnings {
    /// Adds the warnings of one command. `before` is the state that the command was decided against.
    pub(crate) fn of_command(&mut self, before: &Configuration, index: usize, command: &Command) {
        let notice = match command {
            Command::PutDocument(put) => mismatch(put),
            Command::LabelNode(id, labels) => dropped(before, id, labels),
            Command::RetryNode(id) => healthy(before, id),
            Command::RelabelNodes(relabel) => unselected(before, &relabel.target),
            _ => None,
        };
        self.note(index, notice);
    }

    /// All of them in the order of the commands. `after` is the state after the whole request: a later command of it may bring the
    /// nodes that a document is for.
    pub(crate) fn of_request(mut self, after: &Configuration, commands: &[RequestItem]) -> Vec<CommandWarning> {
        for (index, ask) in commands.iter().enumerate() {
            match &ask.command {
                Command::PutDocument(put) => self.note(index, unreached(after, put)),
                Command::AcceptProposal(accept) => self.note(index, overridden(after, &accept.id)),
                Command::StartRollout(id) => self.note(index, without_nodes(after, id)),
                _ => {}
            }
        }
        self.0.sort_by_key(|warning| warning.command);
        self.0
    }

    /// What a guard would refuse is warned of where nothing is appended.
    pub(crate) fn of_guard(&mut self, checked: &Result<(), Refusal>) {
        if let Err(refusal) = checked {
            self.note(0, Some(("blast_radius", format!("{refusal}"))));
        }
    }

    fn note(&mut self, command: usize, notice: Option<Notice>) {
        self.0.extend(notice.map(|(code, detail)| CommandWarning { command, code: code.to_string(), detail }));
    }
}

/// A document whose bytes are not what its media type says.
fn mismatch(put: &PutDocument) -> Option<Notice> {
    let demands = put.media_type.demands();
    let why = match put.content.known()?.form {
        form if form >= demands => return None,
        _ if demands == ContentForm::Json => format!("no JSON: {}", put.content.json_fault()),
        _ => "not UTF-8".into(),
    };
    Some((
        "content_mismatch",
        format!("document {} is called {}, and its bytes are {why}", put.id, put.media_type.as_str()),
    ))
}

/// `label_node` replaces all labels: a sender who means to add one takes the others away.
fn dropped(before: &Configuration, id: &NodeId, labels: &Labels) -> Option<Notice> {
    let node = before.nodes().get(id)?;
    let lost: Vec<&str> = node.labels.keys().filter(|key| !labels.contains_key(key)).collect();
    let keys = lost.iter().map(|key| key.chars().take(KEY_CHARS_MAX).collect());
    (!lost.is_empty()).then(|| {
        ("labels_dropped", format!("node {id} loses its labels {}: label_node replaces all of them", named(keys)))
    })
}

/// A node that runs what it must, as far as the log knows. A retry of it is an event all the same, because it clears what the node
/// remembers as rejected.
fn healthy(before: &Configuration, id: &NodeId) -> Option<Notice> {
    let summary = &before.reports().get(id)?.summary;
    let running = summary.running?;
    let desired = render(before, id)?.digest;
    (running.digest == desired && summary.drift.is_empty()).then(|| {
        let detail = format!(
            "node {id} runs what is desired, by its last report: a retry only clears what it remembers as rejected"
        );
        ("nothing_to_retry", detail)
    })
}

/// A change of labels that is about no node. Nodes that are named are there, or the command is refused.
fn unselected(before: &Configuration, target: &Target) -> Option<Notice> {
    let why = match target {
        Target::All => "no node is enrolled",
        Target::Nodes(_) => return None,
        Target::Selector(_) => "no enrolled node has such labels",
    };
    (!before.selects_any(target)).then(|| ("target_reaches_nobody", format!("no labels change: {why}")))
}

/// A document that no node gets.
fn unreached(after: &Configuration, put: &PutDocument) -> Option<Notice> {
    if after.selects_any(&put.target) {
        return None;
    }
    let why = match &put.target {
        Target::All => "no node is enrolled".into(),
        Target::Nodes(nodes) => {
            format!("none of its nodes is enrolled: {}", named(nodes.iter().map(NodeId::to_string)))
        }
        Target::Selector(_) => "no enrolled node has such labels".into(),
    };
    Some(("target_reaches_nobody", format!("document {} reaches nobody: {why}", put.id)))
}

/// A rollout of which a stage has no node, so that it would wait there for ever.
fn without_nodes(after: &Configuration, id: &RolloutId) -> Option<Notice> {
    let rollout = after.rollouts().open().get(id)?;
    let members = after.members(rollout);
    let is_empty = |index: &usize| !members.iter().any(|node| after.is_in_stage(rollout, *index, node));
    let empty = (0..rollout.opened.stages.len()).find(is_empty)?;
    let stage = &rollout.opened.stages[empty].name;
    let detail = format!("stage {stage} of rollout {id} has no node now: it would wait until one is labelled for it");
    Some(("stage_without_nodes", detail))
}

/// An accepted proposal whose file its node does not get, because another document comes first.
fn overridden(after: &Configuration, id: &ProposalId) -> Option<Notice> {
    let said = &after.proposals().get(id)?.said;
    let (winner, document) = after.document_in_force(&said.node, &said.path)?;
    (*winner != said.document()).then(|| {
        let (node, priority) = (&said.node, document.put.priority);
        let detail = format!("node {node} gets document {winner} at {}, because it has priority {priority}", said.path);
        ("proposal_overridden", detail)
    })
}

/// The first of some names, and how many more there are.
fn named(names: impl ExactSizeIterator<Item = String>) -> String {
    let more = names.len().saturating_sub(NAMED_MAX);
    let first = names.take(NAMED_MAX).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{first} and {more} more") } else { first }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use schema::command::Content;
    use schema::entity::Actor;
    use schema::event::Event;
    use schema::id::{CommandId, LogId};
    use schema::instant::Instant;
    use schema::report::{RecordRef, ReportSummary};
    use schema::request::Request;
    use serde_json::{Value, json};

    use super::*;
    use crate::refusal::{Refusal, RequestRefusal};
    use crate::request::{Decision, RequestContext, decide_in_place};

    fn decided(state: &mut Configuration, request: &Request) -> Result<Decision, RequestRefusal> {
        let log_id = LogId::from(uuid::Uuid::from_u128(7));
        let command_id = CommandId::from(uuid::Uuid::from_u128(u128::from(state.position().get()) + 1));
        let clock = Instant::from_unix_micros(1);
        decide_in_place(
            state,
            &RequestContext { log_id, command_id, actor: Actor::Install, entropy: [0; 16], clock },
            request,
        )
    }

    fn asked(state: &mut Configuration, commands: Value) -> Result<Decision, RequestRefusal> {
        let body = json!({ "commands": commands }).to_string();
        decided(state, &Request::read(body.as_bytes()).expect("a request"))
    }

    /// The codes that a request is warned with, each with its command.
    fn told(state: &mut Configuration, commands: Value) -> Vec<(usize, String)> {
        let warnings = asked(state, commands).expect("accepted").answer.warnings;
        warnings.into_iter().map(|warning| (warning.command, warning.code)).collect()
    }

    fn put(media_type: &str, content: &str, target: Value) -> Value {
        json!({"type": "put_document", "id": "d", "path": "d", "media_type": media_type, "content": content,
            "target": target, "priority": 0})
    }

    fn enrol(id: &str, labels: Value) -> Value {
        json!({"type": "enrol_node", "id": id, "labels": labels})
    }

    #[test]
    fn a_target_that_reaches_nobody_after_the_whole_request_is_named() {
        let targets = [
            json!({"all": true}),
            json!({"nodes": ["n", "m"]}),
            json!({"match_labels": {"site": "lund"}}),
            json!({"match_expressions": [{"key": "site", "operator": "Exists"}]}),
            json!({"match_expressions": [{"key": "rack", "operator": "NotIn", "values": ["1"]}]}),
        ];
        for target in targets {
            let state = &mut Configuration::default();
            let document = put("text/plain", "x", target.clone());
            let nobody = vec![(0, "target_reaches_nobody".to_string())];
            assert_eq!(told(state, json!([document])), nobody, "{target}");
            assert_eq!(told(state, json!([document])), nobody, "also where nothing changes: {target}");
            let node = enrol("n", json!({"site": "lund"}));
            assert_eq!(told(state, json!([put("text/plain", "y", target.clone()), node])), [], "{target}");
            let retire = json!({"type": "retire_node", "id": "n"});
            assert_eq!(told(state, json!([document, retire])), nobody, "a retired node is nobody: {target}");
        }
    }

    #[test]
    fn labels_that_are_lost_are_named_and_changed_ones_are_not() {
        let state = &mut Configuration::default();
        asked(state, json!([enrol("n", json!({"a": "1", "b": "1", "c": "1"}))])).expect("accepted");
        let label = |labels: Value| json!([{"type": "label_node", "id": "n", "labels": labels}]);
        assert_eq!(told(state, label(json!({"a": "2", "b": "1", "c": "1", "d": "1"}))), []);
        let answer = asked(state, label(json!({"a": "2"}))).expect("accepted").answer;
        assert_eq!(answer.warnings[0].code, "labels_dropped");
        assert!(answer.warnings[0].detail.contains("loses its labels b, c, d:"), "{}", answer.warnings[0].detail);
        assert_eq!(told(state, label(json!({"a": "2"}))), [], "they are gone already");
    }

    #[test]
    fn labels_for_nobody_are_warned_of_by_what_is_so_before_the_command() {
        let state = &mut Configuration::default();
        let relabel = |target: Value| json!({"type": "relabel_nodes", "target": target, "set": {"site": "lund"}});
        let nobody = |command| vec![(command, "target_reaches_nobody".to_string())];
        assert_eq!(told(state, json!([relabel(json!({"all": true}))])), nobody(0));
        let lund = || relabel(json!({"match_labels": {"site": "lund"}}));
        assert_eq!(told(state, json!([lund(), enrol("n", json!({"site": "lund"})), lund()])), nobody(0));
        assert_eq!(told(state, json!([lund(), relabel(json!({"nodes": ["n"]}))])), [], "they have it already");
    }

    #[test]
    fn a_retry_of_a_healthy_node_is_warned_of_and_appended_all_the_same() {
        let state = &mut Configuration::default();
        asked(state, json!([enrol("n", json!({})), put("text/plain", "x", json!({"all": true}))])).expect("accepted");
        let retry = json!([{"type": "retry_node", "id": "n"}]);
        assert_eq!(told(state, retry.clone()), [], "nothing is known of it");
        let node: NodeId = "n".parse().expect("an id");
        let digest = render(state, &node).expect("a record").digest;
        let note = |summary| Request::of([Command::NoteReport(node.clone(), summary)]);
        let running = Some(RecordRef { position: state.position(), digest });
        let healthy = ReportSummary { running, ..ReportSummary::default() };
        let drifted = ReportSummary { drift: vec!["d".into()], ..healthy.clone() };
        decided(state, &note(drifted)).expect("accepted");
        assert_eq!(told(state, retry.clone()), []);
        decided(state, &note(healthy)).expect("accepted");
        let decision = asked(state, retry.clone()).expect("accepted");
        assert_eq!((decision.answer.warnings[0].code.as_str(), decision.events.len()), ("nothing_to_retry", 1));
        asked(state, json!([put("text/plain", "y", json!({"all": true}))])).expect("accepted");
        assert_eq!(told(state, retry), [], "it runs what is not desired any more");
    }

    #[test]
    fn bytes_that_are_not_what_they_are_called_are_named() {
        let latin = Content::new(vec![0xe5, 0xe4, 0xf6]).expect("small content");
        for (media_type, warned) in [("text/plain", 1), ("text/plain; charset=latin1", 0), ("image/png", 0)] {
            let mut request = Request::read(
                json!({"commands": [enrol("n", json!({})), put(media_type, "", json!({"all": true}))]})
                    .to_string()
                    .as_bytes(),
            )
            .expect("a request");
            let Command::PutDocument(put) = &mut request.commands[1].command else { panic!("a document") };
            put.content = latin.clone().into();
            let warnings = decided(&mut Configuration::default(), &request).expect("accepted").answer.warnings;
            assert_eq!(warnings.len(), warned, "{media_type}");
            assert!(warnings.iter().all(|warning| (warning.command, warning.code.as_str()) == (1, "content_mismatch")));
        }
    }

    #[test]
    fn only_new_content_has_to_be_json_and_no_event_has() {
        let state = &mut Configuration::default();
        let all = || json!({"all": true});
        let event = |called: &str, state: &mut Configuration| -> Event {
            let commands = json!([enrol("n", json!({})), put(called, "no JSON", all())]);
            asked(state, commands).expect("accepted").events.remove(1)
        };
        // As an older program took it in.
        let older = event("text/plain", &mut Configuration::default());
        let older = Event { data: older.data.replace("text/plain", "application/json"), ..older }.sealed();
        asked(state, json!([enrol("n", json!({}))])).expect("accepted");
        state.fold(&older, &older.change().expect("a change"));
        let called = "application/json";
        let mismatch = vec![(0, "content_mismatch".to_string())];
        assert_eq!(told(state, json!([put(called, "no JSON", all())])), mismatch, "it changes nothing");
        assert_eq!(told(state, json!([put(called, "no JSON", json!({"nodes": ["n"]}))])), mismatch, "not its content");
        for (called, content) in [(called, "no JSON either"), ("application/json; v=1", ""), (called, "{} {}")] {
            let refused = asked(&mut state.clone(), json!([put(called, content, all())])).expect_err(content);
            assert!(matches!(refused.refusal, Refusal::NotJson { .. }), "{content}: {refused}");
            assert_eq!(
                (refused.field().as_str(), refused.refusal.code().as_str()),
                ("commands[0].content", "not_json")
            );
        }
        assert_eq!(told(state, json!([put("text/plain", "no JSON either", all())])), []);
        let again = asked(state, json!([put(called, "no JSON either", all())]));
        assert!(again.is_err(), "known bytes under a new name are new content");
    }
}
