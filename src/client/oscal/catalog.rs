//! Catalogs: groups, and controls in them and in each other.
//!
//! A control's `statement` is the prose of its statement parts; guidance and objectives are listed as skipped.

use serde_json::json;

use super::definition::{DefinitionKind, OscalDefinition, object};
use super::draft::ImportDraft;
use super::error::OscalError;
use super::id::map_id;
use super::json_node::{Fields, JsonNode};
use super::labels::{self, OSCAL_ID, TextMap};
use super::parameters::ControlParameters;
use super::prose;

/// The class of a control if neither it nor its groups have one.
const DEFAULT_CLASS: &str = "control";

/// What a control inherits from its groups and outer controls.
#[derive(Clone, Default)]
struct Inherited {
    labels: TextMap,
    class: Option<String>,
}

/// Reads a catalog.
pub(super) fn read(top: &JsonNode<'_>, draft: &mut ImportDraft) -> Result<(), OscalError> {
    let mut params = ControlParameters::default();
    collect(top, true, &mut params, draft)?;
    let mut fields = top.fields()?;
    let uuid = fields.need("uuid")?;
    walk(&mut fields, &Inherited::default(), &params, draft)?;
    draft.skips.add_rest("catalog", uuid, &fields);
    Ok(())
}

/// Adds all parameters below a node. Those of a group or catalog are kept only with controls whose statement names them.
fn collect(
    node: &JsonNode<'_>,
    is_outer: bool,
    params: &mut ControlParameters,
    draft: &mut ImportDraft,
) -> Result<(), OscalError> {
    let mut fields = node.fields()?;
    let nodes = fields.list("params")?;
    let ids = params.add(&nodes, &mut draft.skips)?;
    for (id, node) in ids.iter().zip(&nodes).filter(|_| is_outer) {
        let reason = "a parameter of a group or catalog is kept only with the controls whose statement names it";
        draft.skips.add("parameter", id, &node.path, reason.to_owned());
    }
    for group in fields.list("groups")? {
        collect(&group, true, params, draft)?;
    }
    for control in fields.list("controls")? {
        collect(&control, false, params, draft)?;
    }
    Ok(())
}

/// The controls and groups of a catalog or group.
fn walk(
    fields: &mut Fields<'_>,
    inherited: &Inherited,
    params: &ControlParameters,
    draft: &mut ImportDraft,
) -> Result<(), OscalError> {
    fields.list("params")?;
    for node in fields.list("controls")? {
        control(&node, inherited, params, draft)?;
    }
    for node in fields.list("groups")? {
        group(&node, inherited, params, draft)?;
    }
    Ok(())
}

fn group(
    node: &JsonNode<'_>,
    outer: &Inherited,
    params: &ControlParameters,
    draft: &mut ImportDraft,
) -> Result<(), OscalError> {
    let mut fields = node.fields()?;
    let (id, title) = (fields.text("id")?, fields.need("title")?);
    let mut inherited = outer.clone();
    inherited.class = fields.text("class")?.map(str::to_owned).or(inherited.class);
    inherited.labels.extend(id.map(|id| ("oscal-group".to_owned(), id.to_owned())));
    inherited.labels.insert("oscal-group-title".to_owned(), title.to_owned());
    walk(&mut fields, &inherited, params, draft)?;
    draft.skips.add_rest("group", id.unwrap_or(title), &fields);
    Ok(())
}

fn control(
    node: &JsonNode<'_>,
    inherited: &Inherited,
    params: &ControlParameters,
    draft: &mut ImportDraft,
) -> Result<(), OscalError> {
    let mut fields = node.fields()?;
    let original = fields.need("id")?;
    let id = map_id(original, &format!("{}.id", node.path))?;
    let title = fields.need("title")?;
    let class = fields.text("class")?.or(inherited.class.as_deref()).unwrap_or(DEFAULT_CLASS);
    let mut own = inherited.labels.clone();
    own.insert(OSCAL_ID.to_owned(), original.to_owned());
    let given = labels::read_props(&mut fields, original, &mut draft.skips)?;
    let labels = labels::with_import_labels(given, own, ("control", original, &node.path), &mut draft.skips);
    let (statement, parameters) = statement(&mut fields, original, params, draft)?;
    let command = json!({"id": id, "title": title, "class": class, "statement": statement,
                         "parameters": parameters, "labels": labels});
    draft.push(OscalDefinition::new(DefinitionKind::Control, id, original, &node.path, object(command)))?;

    let mut inner = inherited.clone();
    inner.labels.insert("oscal-parent".to_owned(), original.to_owned());
    for node in fields.list("controls")? {
        control(&node, &inner, params, draft)?;
    }
    draft.skips.add_rest("control", original, &fields);
    Ok(())
}

/// The prose of a control's statement, and the parameters that it owns or that the statement names.
fn statement(
    fields: &mut Fields<'_>,
    owner: &str,
    params: &ControlParameters,
    draft: &mut ImportDraft,
) -> Result<(String, TextMap), OscalError> {
    let mut parameters = TextMap::new();
    for node in fields.list("params")? {
        let id = node.fields()?.need("id")?;
        parameters.extend(params.text_of(id).map(|said| (id.to_owned(), said)));
    }
    let mut texts = Vec::new();
    for part in fields.list("parts")? {
        let (_, name) = prose::part_name(&part)?;
        if name != "statement" {
            draft.skips.add("part", owner, &part.path, format!("a control keeps its statement and no `{name}`"));
            continue;
        }
        let (text, unknown) = params.fill(&prose::flatten_part(&part, owner, &mut draft.skips)?, &mut parameters);
        for param in unknown {
            let reason = format!("the statement inserts `{param}`, which the catalog does not define: left as written");
            draft.skips.add("parameter", &param, &part.path, reason);
        }
        texts.push(text);
    }
    Ok((texts.join("\n\n"), parameters))
}
