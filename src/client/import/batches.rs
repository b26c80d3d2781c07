//! Divides definitions into requests, in order and each within the limits of a request.

use schema::digest::Digest;
use schema::limit::{BODY_BYTES_MAX, COMMANDS_MAX, REASON_BYTES_MAX};
use schema::position::Position;
use serde_json::Value;

use crate::api_client::CommandRequest;

use super::compare::ComparedDefinition;

/// Bytes of a body beside its commands and its reason.
const FRAME_BYTES: usize = 1024;
/// JSON may need six bytes for one byte of a reason: `\u001f`.
const ESCAPED_BYTES_MAX: usize = 6;

/// The limits of one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestLimits {
    pub(super) commands: usize,
    /// Bytes of all commands together.
    pub(super) bytes: usize,
}

impl RequestLimits {
    /// The limits that a server has.
    pub(super) const SERVER: Self =
        Self { commands: COMMANDS_MAX, bytes: BODY_BYTES_MAX - ESCAPED_BYTES_MAX * REASON_BYTES_MAX - FRAME_BYTES };
}

/// A request, and the definitions that it makes.
#[derive(Debug)]
pub(super) struct DefinitionBatch<'a> {
    pub(super) request: CommandRequest,
    pub(super) items: Vec<&'a ComparedDefinition>,
}

/// The requests that make all definitions, in their order. A key is derived from the request and from the position that was
/// compared with: a repeated request is appended once, and a later import of the same file, such as after an undo, has other
/// keys.
pub(super) fn batches<'a>(
    items: impl Iterator<Item = &'a ComparedDefinition>,
    reason: Option<&str>,
    at: Position,
    limits: RequestLimits,
) -> Vec<DefinitionBatch<'a>> {
    let mut batches: Vec<DefinitionBatch<'a>> = Vec::new();
    let mut bytes = 0;
    for item in items {
        let command = command(item);
        let size = command.to_string().len() + 1;
        let fits =
            |batch: &&mut DefinitionBatch<'_>| batch.items.len() < limits.commands && bytes + size <= limits.bytes;
        match batches.last_mut().filter(fits) {
            Some(batch) => {
                batch.request.commands.push(command);
                batch.items.push(item);
                bytes += size;
            }
            None => {
                let request = CommandRequest {
                    reason: reason.map(str::to_owned),
                    now: false,
                    commands: vec![command],
                    key: None,
                };
                batches.push(DefinitionBatch { request, items: vec![item] });
                bytes = size;
            }
        }
    }
    for batch in &mut batches {
        let digest = Digest::of_parts([at.to_string().as_bytes(), b" ", batch.request.body().as_bytes()]);
        batch.request.key = Some(format!("import-{digest}"));
    }
    batches
}

fn command(compared: &ComparedDefinition) -> Value {
    let mut command = compared.item.command.clone();
    command.insert("type".to_owned(), format!("define_{}", compared.item.kind.name()).into());
    command.insert("expected_version".to_owned(), compared.version.into());
    Value::Object(command)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::compare::{ExistingDefinitions, compare};
    use crate::oscal::document;
    use crate::oscal::draft::ImportDraft;
    use crate::oscal::plan::{ImportPlan, KnownIds};
    use serde_json::json;

    fn compared(count: usize) -> Vec<ComparedDefinition> {
        let control = |number| json!({"id": format!("c-{number}"), "title": "t"});
        let controls: Vec<Value> = (0..count).map(control).collect();
        let mut draft = ImportDraft::new("0 0 * * *");
        let file = json!({"catalog": {"uuid": "u", "controls": controls}}).to_string();
        document::read("f.json", file.as_bytes(), &mut draft).expect("readable");
        compare(ImportPlan::of(draft, &KnownIds::new()).definitions, &ExistingDefinitions::new())
            .expect("nothing is there")
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
            let batches = batches(items.iter(), Some("why"), 5.into(), RequestLimits { commands, bytes });
            assert_eq!(batches.iter().map(|batch| batch.items.len()).collect::<Vec<_>>(), expected);
            let sent: Vec<&Value> = batches.iter().flat_map(|batch| &batch.request.commands).collect();
            assert_eq!(sent.len(), 7);
            assert_eq!((&sent[6]["id"], &sent[6]["type"]), (&json!("c-6"), &json!("define_control")));
        }
    }

    #[test]
    fn a_key_is_that_of_one_request_at_one_position() {
        let items = compared(2);
        let limits = RequestLimits { commands: 1, bytes: 10_000 };
        let keys = |at: u64| {
            let batches = batches(items.iter(), None, at.into(), limits);
            batches.into_iter().map(|batch| batch.request.key.expect("a key")).collect::<Vec<_>>()
        };
        assert_eq!(keys(1), keys(1));
        assert_ne!(keys(1)[0], keys(1)[1]);
        assert_ne!(keys(1)[0], keys(2)[0]);
    }
}
