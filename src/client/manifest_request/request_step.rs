//! Divides what manifests declare into requests: one, if it is within the limits of a request.
//!
//! Always: the bundles are assigned in the last request, so that what the steps before it make is in no bundle until then, and nothing is
//! removed by them.

use std::collections::BTreeSet;

use schema::digest::Digest;
use schema::limit::{BODY_BYTES_MAX, COMMANDS_MAX, REASON_BYTES_MAX};
use serde_json::{Value, json};

use super::rollout_order;
use crate::api_client::CommandRequest;
use crate::manifest::declared::Declaration;
use crate::manifest::fault::ManifestPlace;
use crate::now_option::NowOption;

/// Bytes of a body beside its commands and its reason.
const FRAME_BYTES: usize = 1024;
/// JSON may need six bytes for one byte of a reason: `\u001f`.
const ESCAPED_BYTES_MAX: usize = 6;

/// What becomes of bundles.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BundlePolicy {
    /// Whether what is not declared is removed.
    pub(crate) prune: bool,
    /// Whether members of other bundles move.
    pub(crate) take: bool,
}

/// The limits of one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepLimits {
    pub(crate) commands: usize,
    /// Bytes of all commands together.
    pub(crate) bytes: usize,
}

impl StepLimits {
    /// The limits that a server has.
    pub(crate) const SERVER: Self =
        Self { commands: COMMANDS_MAX, bytes: BODY_BYTES_MAX - ESCAPED_BYTES_MAX * REASON_BYTES_MAX - FRAME_BYTES };
}

/// A request, and where what its commands make is declared.
#[derive(Clone, Debug)]
pub(crate) struct RequestStep {
    pub(crate) request: CommandRequest,
    /// For each command; none for those of bundles.
    places: Vec<Option<ManifestPlace>>,
    bytes: usize,
}

impl RequestStep {
    /// A request of these commands, which no manifest declares.
    pub(crate) fn of(commands: Vec<Value>, reason: Option<String>) -> Self {
        Self {
            places: vec![None; commands.len()],
            bytes: 0,
            request: CommandRequest { reason, now: false, commands, key: None },
        }
    }

    /// The same request, which says `now` if that was asked for.
    pub(crate) fn saying(mut self, NowOption { now }: NowOption) -> Self {
        self.request.now = now;
        self
    }

    /// The same request, which may change whatever it changes.
    pub(crate) fn said_now(&self) -> Self {
        let mut step = self.clone();
        step.request.now = true;
        step.request.reason.get_or_insert_with(|| "a look".to_owned());
        step
    }

    /// The request that rolls out the documents of this one that change.
    pub(crate) fn rolled_out(&self, id: &str, policy: Value, changed: &BTreeSet<String>) -> Self {
        let ordered = rollout_order::order(&self.request.commands, id, policy, changed);
        let places = ordered.iter().map(|(_, place)| self.places[(*place)?].clone()).collect();
        let commands = ordered.into_iter().map(|(command, _)| command).collect();
        Self { request: CommandRequest { commands, ..self.request.clone() }, places, bytes: self.bytes }
    }

    fn empty(reason: Option<&str>) -> Self {
        Self::of(Vec::new(), reason.map(str::to_owned))
    }

    /// Where the command is declared whose place in the request a server named, such as `commands[3].path`.
    pub(crate) fn place_of_field(&self, field: &str) -> Option<&ManifestPlace> {
        let (index, _) = field.strip_prefix("commands[")?.split_once(']')?;
        self.place_of(index.parse().ok()?)
    }

    /// Where a command is declared.
    pub(crate) fn place_of(&self, index: usize) -> Option<&ManifestPlace> {
        self.places.get(index)?.as_ref()
    }

    fn has_room(&self, bytes: usize, limits: StepLimits) -> bool {
        let commands = self.request.commands.len();
        commands == 0 || (commands < limits.commands && self.bytes + bytes <= limits.bytes)
    }

    fn push(&mut self, command: Value, place: Option<ManifestPlace>, bytes: usize) {
        self.request.commands.push(command);
        self.places.push(place);
        self.bytes += bytes;
    }
}

/// The requests, in their order. Each refers only to what those before it make.
pub(crate) fn steps(
    declared: &Declaration,
    known: &BTreeSet<Digest>,
    policy: BundlePolicy,
    reason: Option<&str>,
    limits: StepLimits,
) -> Vec<RequestStep> {
    let mut steps = vec![RequestStep::empty(reason)];
    let entities = declared.entities.iter().map(|entity| (entity.command(known), Some(entity.at.clone())));
    for (command, place) in entities {
        let bytes = command.to_string().len() + 1;
        if !steps.last().is_some_and(|step| step.has_room(bytes, limits)) {
            steps.push(RequestStep::empty(reason));
        }
        steps.last_mut().expect("BUG: there is a step").push(command, place, bytes);
    }
    // All bundles are assigned together: what moves from one to another is not removed in between.
    let assignments: Vec<(Value, usize)> = declared
        .bundles
        .iter()
        .map(|bundle| {
            let mut command = json!({"type": "assign_bundle", "id": bundle.id, "members": bundle.members});
            let flags = [("grow", !policy.prune), ("take", policy.take), ("empty", bundle.members.is_empty())];
            for (name, _) in flags.into_iter().filter(|(_, is_set)| *is_set) {
                command[name] = true.into();
            }
            let bytes = command.to_string().len() + 1;
            (command, bytes)
        })
        .collect();
    let bytes: usize = assignments.iter().map(|(_, bytes)| bytes).sum();
    let last = steps.last().expect("BUG: there is a step");
    if last.bytes + bytes > limits.bytes || last.request.commands.len() + assignments.len() > limits.commands {
        steps.push(RequestStep::empty(reason));
    }
    let last = steps.last_mut().expect("BUG: there is a step");
    assignments.into_iter().for_each(|(command, bytes)| last.push(command, None, bytes));
    steps.retain(|step| !step.request.commands.is_empty());
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::reader;

    fn declared(nodes: usize) -> Declaration {
        let dir = tempfile::tempdir().expect("a folder");
        let node = |number| format!("---\nkind: node\nid: n{number}\nlabels: {{}}\n");
        let text = format!("kind: bundle\nid: b\n{}", (0..nodes).map(node).collect::<String>());
        std::fs::write(dir.path().join("m.yaml"), text).expect("a file");
        reader::read(&[dir.path().to_owned()], None).expect("manifests")
    }

    #[test]
    fn what_fits_is_one_request_and_the_assignment_is_in_the_last() {
        let declared = declared(5);
        let policy = BundlePolicy { prune: false, take: true };
        let counts = |commands, bytes| -> Vec<usize> {
            let steps = steps(&declared, &BTreeSet::new(), policy, Some("why"), StepLimits { commands, bytes });
            let last = steps.last().and_then(|step| step.request.commands.last()).expect("a command");
            assert_eq!(
                *last,
                json!({"type": "assign_bundle", "id": "b", "grow": true, "take": true,
                "members": ["node/n0", "node/n1", "node/n2", "node/n3", "node/n4"]})
            );
            steps.iter().map(|step| step.request.commands.len()).collect()
        };
        assert_eq!(counts(6, 10_000), [6]);
        assert_eq!(counts(5, 10_000), [5, 1]);
        assert_eq!(counts(2, 10_000), [2, 2, 2]);
        assert_eq!(counts(100, 1), [1; 6], "what is too large alone is refused by the server");
    }

    #[test]
    fn a_refused_command_is_found_where_it_is_declared() {
        let policy = BundlePolicy { prune: true, take: false };
        let steps = steps(&declared(2), &BTreeSet::new(), policy, None, StepLimits::SERVER);
        let place = |field| steps[0].place_of_field(field).map(|at| (at.place.line, at.place.column));
        assert_eq!(place("commands[1].labels"), Some((8, 1)));
        assert_eq!(place("commands[0]"), Some((4, 1)));
        assert_eq!((place("commands[2].members"), place("reason"), place("commands[9]")), (None, None, None));
    }
}
