//! Component definitions: components, and the controls that they implement.
//!
//! The description of how a component implements a control becomes its property `implements:<control>`; the parameters that it
//! sets become its properties `parameter:<parameter>`.

use serde_json::json;

use super::definition::{DefinitionKind, DefinitionReference, OscalDefinition, object};
use super::draft::ImportDraft;
use super::error::OscalError;
use super::id::map_id;
use super::json_node::{Fields, JsonNode};
use super::labels::{self, OSCAL_ID, TextMap};
use super::prose::replace_insertions;
use super::skip_list::SkipList;

/// Between two descriptions of one control.
const BETWEEN: &str = "\n\n";

/// The fields of the command that are collected from all over a component.
#[derive(Default)]
struct ComponentFields {
    controls: Vec<(String, DefinitionReference)>,
    properties: TextMap,
}

/// Reads a component definition.
pub(super) fn read(top: &JsonNode<'_>, draft: &mut ImportDraft) -> Result<(), OscalError> {
    let mut fields = top.fields()?;
    let uuid = fields.need("uuid")?;
    for node in fields.list("components")? {
        component(&node, draft)?;
    }
    draft.skips.add_rest("component-definition", uuid, &fields);
    Ok(())
}

fn component(node: &JsonNode<'_>, draft: &mut ImportDraft) -> Result<(), OscalError> {
    let mut fields = node.fields()?;
    let original = fields.need("uuid")?;
    let id = map_id(original, &format!("{}.uuid", node.path))?;
    let (kind, title) = (fields.need("type")?, fields.need("title")?);
    let mut collected = ComponentFields::default();
    for name in ["description", "purpose", "remarks"] {
        collected.properties.extend(fields.text(name)?.map(|text| (name.to_owned(), text.to_owned())));
    }
    protocols(&mut fields, original, &mut collected, &mut draft.skips)?;
    for node in fields.list("control-implementations")? {
        implementation(&node, original, &mut collected, &mut draft.skips)?;
    }
    let given = labels::read_props(&mut fields, original, &mut draft.skips)?;
    let own = TextMap::from([(OSCAL_ID.to_owned(), original.to_owned())]);
    let labels = labels::with_import_labels(given, own, ("component", original, &node.path), &mut draft.skips);
    draft.skips.add_rest("component", original, &fields);

    let ComponentFields { mut controls, properties } = collected;
    // The server keeps a set, so the order in the file makes no difference.
    controls.sort_by(|one, other| one.0.cmp(&other.0));
    controls.dedup_by(|one, other| one.0 == other.0);
    let (ids, references): (Vec<_>, Vec<_>) = controls.into_iter().unzip();
    let command =
        json!({"id": id, "title": title, "kind": kind, "controls": ids, "properties": properties, "labels": labels});
    draft.push(OscalDefinition {
        references,
        ..OscalDefinition::new(DefinitionKind::Component, id, original, &node.path, object(command))
    })
}

fn protocols(
    fields: &mut Fields<'_>,
    owner: &str,
    collected: &mut ComponentFields,
    skips: &mut SkipList,
) -> Result<(), OscalError> {
    for node in fields.list("protocols")? {
        let mut protocol = node.fields()?;
        let name = protocol.need("name")?;
        protocol.text("uuid")?;
        let mut texts: Vec<String> = protocol.text("title")?.map(str::to_owned).into_iter().collect();
        for node in protocol.list("port-ranges")? {
            let mut range = node.fields()?;
            let mut end = |name| range.take(name).map(|node| node.number()).transpose();
            let ends = [end("start")?, end("end")?];
            let transport = range.text("transport")?.unwrap_or_default();
            let ports: Vec<String> = match ends {
                [Some(start), Some(end)] if start == end => vec![start.to_string()],
                ends => ends.into_iter().flatten().map(|port| port.to_string()).collect(),
            };
            texts.push(format!("{transport} {}", ports.join("-")).trim().to_owned());
            skips.add_rest("protocol", owner, &range);
        }
        labels::append_text(&mut collected.properties, format!("protocol:{name}"), &texts.join("; "), BETWEEN);
        skips.add_rest("protocol", owner, &protocol);
    }
    Ok(())
}

/// Controls of one source that a component implements.
fn implementation(
    node: &JsonNode<'_>,
    owner: &str,
    collected: &mut ComponentFields,
    skips: &mut SkipList,
) -> Result<(), OscalError> {
    let mut fields = node.fields()?;
    fields.text("uuid")?;
    let set = set_parameters(&mut fields, owner, collected, skips)?;
    for node in fields.list("implemented-requirements")? {
        requirement(&node, owner, &set, collected, skips)?;
    }
    skips.add_rest("control-implementation", owner, &fields);
    Ok(())
}

fn requirement(
    node: &JsonNode<'_>,
    owner: &str,
    outer: &TextMap,
    collected: &mut ComponentFields,
    skips: &mut SkipList,
) -> Result<(), OscalError> {
    let mut fields = node.fields()?;
    fields.text("uuid")?;
    let original = fields.need("control-id")?;
    let path = format!("{}.control-id", node.path);
    let control = map_id(original, &path)?;
    let mut set = outer.clone();
    set.extend(set_parameters(&mut fields, owner, collected, skips)?);
    let mut texts = Vec::new();
    texts.extend(fields.text("description")?);
    for node in fields.list("statements")? {
        let mut statement = node.fields()?;
        for identity in ["statement-id", "uuid"] {
            statement.text(identity)?;
        }
        texts.extend(statement.text("description")?);
        texts.extend(statement.text("remarks")?);
        skips.add_rest("statement", original, &statement);
    }
    texts.extend(fields.text("remarks")?);
    for text in texts {
        let text = replace_insertions(text, |id| set.get(id).map(|value| format!("[{id}: {value}]")));
        labels::append_text(&mut collected.properties, format!("implements:{control}"), text.trim(), BETWEEN);
    }
    skips.add_rest("implemented-requirement", original, &fields);
    collected
        .controls
        .push((control.clone(), DefinitionReference::listed(DefinitionKind::Control, "controls", control, path)));
    Ok(())
}

fn set_parameters(
    fields: &mut Fields<'_>,
    owner: &str,
    collected: &mut ComponentFields,
    skips: &mut SkipList,
) -> Result<TextMap, OscalError> {
    let mut set = TextMap::new();
    for node in fields.list("set-parameters")? {
        let mut param = node.fields()?;
        let (id, values) = (param.need("param-id")?, param.texts("values")?.join(", "));
        labels::append_text(&mut collected.properties, format!("parameter:{id}"), &values, "; ");
        set.insert(id.to_owned(), values);
        skips.add_rest("set-parameter", owner, &param);
    }
    Ok(set)
}
