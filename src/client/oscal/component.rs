//! Component definitions: components, and the controls that they implement.
//!
//! What a component says of how it implements a control is its property `implements:<control>`; the parameters that it sets
//! are its properties `parameter:<parameter>`.

use serde_json::json;

use super::definition::{Item, Kind, Need, object};
use super::draft::Draft;
use super::fault::Fault;
use super::id::mapped;
use super::labels::{self, OSCAL_ID, Texts};
use super::place::{Fields, Place};
use super::prose::filled;
use super::skipped::Skips;

/// Between two things that are said of one control.
const BETWEEN: &str = "\n\n";

/// What becomes of a component.
#[derive(Default)]
struct Gathered {
    controls: Vec<(String, Need)>,
    properties: Texts,
}

/// Reads a component definition.
pub(super) fn read(top: &Place<'_>, draft: &mut Draft) -> Result<(), Fault> {
    let mut fields = top.fields()?;
    let uuid = fields.need("uuid")?;
    for place in fields.list("components")? {
        component(&place, draft)?;
    }
    draft.skips.rest("component-definition", uuid, &fields);
    Ok(())
}

fn component(place: &Place<'_>, draft: &mut Draft) -> Result<(), Fault> {
    let mut fields = place.fields()?;
    let original = fields.need("uuid")?;
    let id = mapped(original, &format!("{}.uuid", place.path))?;
    let (kind, title) = (fields.need("type")?, fields.need("title")?);
    let mut gathered = Gathered::default();
    for name in ["description", "purpose", "remarks"] {
        gathered.properties.extend(fields.text(name)?.map(|text| (name.to_owned(), text.to_owned())));
    }
    protocols(&mut fields, original, &mut gathered, &mut draft.skips)?;
    for place in fields.list("control-implementations")? {
        implementation(&place, original, &mut gathered, &mut draft.skips)?;
    }
    let given = labels::of_props(&mut fields, original, &mut draft.skips)?;
    let own = Texts::from([(OSCAL_ID.to_owned(), original.to_owned())]);
    let labels = labels::with_own(given, own, ("component", original, &place.path), &mut draft.skips);
    draft.skips.rest("component", original, &fields);

    let Gathered { mut controls, properties } = gathered;
    // The door keeps a set, so the order of a file is no difference.
    controls.sort_by(|one, other| one.0.cmp(&other.0));
    controls.dedup_by(|one, other| one.0 == other.0);
    let (ids, needs): (Vec<_>, Vec<_>) = controls.into_iter().unzip();
    let command =
        json!({"id": id, "title": title, "kind": kind, "controls": ids, "properties": properties, "labels": labels});
    draft.push(Item { needs, ..Item::new(Kind::Component, id, original, &place.path, object(command)) })
}

fn protocols(fields: &mut Fields<'_>, owner: &str, gathered: &mut Gathered, skips: &mut Skips) -> Result<(), Fault> {
    for place in fields.list("protocols")? {
        let mut protocol = place.fields()?;
        let name = protocol.need("name")?;
        protocol.text("uuid")?;
        let mut said: Vec<String> = protocol.text("title")?.map(str::to_owned).into_iter().collect();
        for place in protocol.list("port-ranges")? {
            let mut range = place.fields()?;
            let mut end = |name| range.take(name).map(|place| place.number()).transpose();
            let ends = [end("start")?, end("end")?];
            let transport = range.text("transport")?.unwrap_or_default();
            let ports: Vec<String> = match ends {
                [Some(start), Some(end)] if start == end => vec![start.to_string()],
                ends => ends.into_iter().flatten().map(|port| port.to_string()).collect(),
            };
            said.push(format!("{transport} {}", ports.join("-")).trim().to_owned());
            skips.rest("protocol", owner, &range);
        }
        labels::add(&mut gathered.properties, format!("protocol:{name}"), &said.join("; "), BETWEEN);
        skips.rest("protocol", owner, &protocol);
    }
    Ok(())
}

/// Controls of one source that a component implements.
fn implementation(place: &Place<'_>, owner: &str, gathered: &mut Gathered, skips: &mut Skips) -> Result<(), Fault> {
    let mut fields = place.fields()?;
    fields.text("uuid")?;
    let set = set_parameters(&mut fields, owner, gathered, skips)?;
    for place in fields.list("implemented-requirements")? {
        requirement(&place, owner, &set, gathered, skips)?;
    }
    skips.rest("control-implementation", owner, &fields);
    Ok(())
}

fn requirement(
    place: &Place<'_>,
    owner: &str,
    outer: &Texts,
    gathered: &mut Gathered,
    skips: &mut Skips,
) -> Result<(), Fault> {
    let mut fields = place.fields()?;
    fields.text("uuid")?;
    let original = fields.need("control-id")?;
    let path = format!("{}.control-id", place.path);
    let control = mapped(original, &path)?;
    let mut set = outer.clone();
    set.extend(set_parameters(&mut fields, owner, gathered, skips)?);
    let mut said = Vec::new();
    said.extend(fields.text("description")?);
    for place in fields.list("statements")? {
        let mut statement = place.fields()?;
        for identity in ["statement-id", "uuid"] {
            statement.text(identity)?;
        }
        said.extend(statement.text("description")?);
        said.extend(statement.text("remarks")?);
        skips.rest("statement", original, &statement);
    }
    said.extend(fields.text("remarks")?);
    for text in said {
        let text = filled(text, |id| set.get(id).map(|value| format!("[{id}: {value}]")));
        labels::add(&mut gathered.properties, format!("implements:{control}"), text.trim(), BETWEEN);
    }
    skips.rest("implemented-requirement", original, &fields);
    gathered.controls.push((control.clone(), Need::listed(Kind::Control, "controls", control, path)));
    Ok(())
}

fn set_parameters(
    fields: &mut Fields<'_>,
    owner: &str,
    gathered: &mut Gathered,
    skips: &mut Skips,
) -> Result<Texts, Fault> {
    let mut set = Texts::new();
    for place in fields.list("set-parameters")? {
        let mut param = place.fields()?;
        let (id, values) = (param.need("param-id")?, param.texts("values")?.join(", "));
        labels::add(&mut gathered.properties, format!("parameter:{id}"), &values, "; ");
        set.insert(id.to_owned(), values);
        skips.rest("set-parameter", owner, &param);
    }
    Ok(set)
}
