//! Ordered requests, each within what the door takes at once.

use schema::digest::Digest;
use schema::limit::{BODY_BYTES_MAX, COMMANDS_MAX, REASON_BYTES_MAX};
use schema::position::Position;
use serde_json::Value;

use crate::door::Request;

use super::compare::Compared;

/// What a body holds beside its commands and its reason.
const FRAME_BYTES: usize = 1024;
/// Bytes of a body that one byte of a reason can take: `\u001f`.
const ESCAPED_BYTES_MAX: usize = 6;

/// What one request may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) commands: usize,
    /// Bytes of all commands together.
    pub(super) bytes: usize,
}

impl Limits {
    /// Those of the door.
    pub(super) const DOOR: Self =
        Self { commands: COMMANDS_MAX, bytes: BODY_BYTES_MAX - ESCAPED_BYTES_MAX * REASON_BYTES_MAX - FRAME_BYTES };
}

/// A request, and what it is about.
#[derive(Debug)]
pub(super) struct Step<'a> {
    pub(super) request: Request,
    pub(super) items: Vec<&'a Compared>,
}

/// The requests that define all of it, in its order. Their keys follow from what they say and from the position that it
/// was compared at: the same request is done once, and may still be said again when the log has gone on.
pub(super) fn steps<'a>(
    items: impl Iterator<Item = &'a Compared>,
    reason: Option<&str>,
    at: Position,
    limits: Limits,
) -> Vec<Step<'a>> {
    let mut steps: Vec<Step<'a>> = Vec::new();
    let mut bytes = 0;
    for item in items {
        let command = command(item);
        let size = command.to_string().len() + 1;
        let fits = |step: &&mut Step<'_>| step.items.len() < limits.commands && bytes + size <= limits.bytes;
        match steps.last_mut().filter(fits) {
            Some(step) => {
                step.request.commands.push(command);
                step.items.push(item);
                bytes += size;
            }
            None => {
                let request = Request { reason: reason.map(str::to_owned), commands: vec![command], key: None };
                steps.push(Step { request, items: vec![item] });
                bytes = size;
            }
        }
    }
    for step in &mut steps {
        let digest = Digest::of_parts([at.to_string().as_bytes(), b" ", step.request.body().as_bytes()]);
        step.request.key = Some(format!("import-{digest}"));
    }
    steps
}

fn command(compared: &Compared) -> Value {
    let mut command = compared.item.command.clone();
    command.insert("type".to_owned(), format!("define_{}", compared.item.kind.name()).into());
    command.insert("expected_version".to_owned(), compared.version.into());
    Value::Object(command)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::compare::{There, compare};
    use crate::oscal::document;
    use crate::oscal::draft::Draft;
    use crate::oscal::plan::{Known, Plan};
    use serde_json::json;

    fn compared(count: usize) -> Vec<Compared> {
        let control = |number| json!({"id": format!("c-{number}"), "title": "t"});
        let controls: Vec<Value> = (0..count).map(control).collect();
        let mut draft = Draft::new("0 0 * * *");
        let file = json!({"catalog": {"uuid": "u", "controls": controls}}).to_string();
        document::read("f.json", file.as_bytes(), &mut draft).expect("readable");
        compare(Plan::of(draft, &Known::new()).items, &There::new()).expect("nothing is there")
    }

    #[test]
    fn a_request_is_within_both_limits_and_all_of_them_are_all_of_it() {
        let items = compared(7);
        let size = command(&items[0]).to_string().len() + 1;
        for (commands, bytes, expected) in [
            (1_000, 1_000_000, &[7][..]),
            (3, 1_000_000, &[3, 3, 1]),
            (1_000, 2 * size, &[2, 2, 2, 1]),
            (9, 1, &[1; 7]),
        ] {
            let steps = steps(items.iter(), Some("why"), 5.into(), Limits { commands, bytes });
            assert_eq!(steps.iter().map(|step| step.items.len()).collect::<Vec<_>>(), expected);
            let sent: Vec<&Value> = steps.iter().flat_map(|step| &step.request.commands).collect();
            assert_eq!(sent.len(), 7);
            assert_eq!((&sent[6]["id"], &sent[6]["type"]), (&json!("c-6"), &json!("define_control")));
        }
    }

    #[test]
    fn a_key_is_that_of_one_request_at_one_position() {
        let items = compared(2);
        let limits = Limits { commands: 1, bytes: 10_000 };
        let keys = |at: u64| {
            let steps = steps(items.iter(), None, at.into(), limits);
            steps.into_iter().map(|step| step.request.key.expect("a key")).collect::<Vec<_>>()
        };
        assert_eq!(keys(1), keys(1));
        assert_ne!(keys(1)[0], keys(1)[1]);
        assert_ne!(keys(1)[0], keys(2)[0]);
    }
}
