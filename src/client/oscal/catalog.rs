//! Catalogs: groups, and controls in them and in each other.
//!
//! A control's `statement` is the prose of its statement parts; guidance and objectives have no place here and are named.

use serde_json::json;

use super::definition::{Item, Kind, object};
use super::draft::Draft;
use super::fault::Fault;
use super::id::mapped;
use super::labels::{self, OSCAL_ID, Texts};
use super::param::Params;
use super::place::{Fields, Place};
use super::prose;

/// What a control's class is where neither it nor its group says one.
const CLASS_UNSAID: &str = "control";

/// What a control inherits from where it stands.
#[derive(Clone, Default)]
struct Within {
    labels: Texts,
    class: Option<String>,
}

/// Reads a catalog.
pub(super) fn read(top: &Place<'_>, draft: &mut Draft) -> Result<(), Fault> {
    let mut params = Params::default();
    collect(top, true, &mut params, draft)?;
    let mut fields = top.fields()?;
    let uuid = fields.need("uuid")?;
    walk(&mut fields, &Within::default(), &params, draft)?;
    draft.skips.rest("catalog", uuid, &fields);
    Ok(())
}

/// Adds all parameters below a place. Those that are no control's own are kept where a statement names them.
fn collect(place: &Place<'_>, is_outer: bool, params: &mut Params, draft: &mut Draft) -> Result<(), Fault> {
    let mut fields = place.fields()?;
    let places = fields.list("params")?;
    let ids = params.add(&places, &mut draft.skips)?;
    for (id, place) in ids.iter().zip(&places).filter(|_| is_outer) {
        let reason = "a parameter of a group or catalog is kept only with the controls whose statement names it";
        draft.skips.add("parameter", id, &place.path, reason.to_owned());
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
fn walk(fields: &mut Fields<'_>, within: &Within, params: &Params, draft: &mut Draft) -> Result<(), Fault> {
    fields.list("params")?;
    for place in fields.list("controls")? {
        control(&place, within, params, draft)?;
    }
    for place in fields.list("groups")? {
        group(&place, within, params, draft)?;
    }
    Ok(())
}

fn group(place: &Place<'_>, outer: &Within, params: &Params, draft: &mut Draft) -> Result<(), Fault> {
    let mut fields = place.fields()?;
    let (id, title) = (fields.text("id")?, fields.need("title")?);
    let mut within = outer.clone();
    within.class = fields.text("class")?.map(str::to_owned).or(within.class);
    within.labels.extend(id.map(|id| ("oscal-group".to_owned(), id.to_owned())));
    within.labels.insert("oscal-group-title".to_owned(), title.to_owned());
    walk(&mut fields, &within, params, draft)?;
    draft.skips.rest("group", id.unwrap_or(title), &fields);
    Ok(())
}

fn control(place: &Place<'_>, within: &Within, params: &Params, draft: &mut Draft) -> Result<(), Fault> {
    let mut fields = place.fields()?;
    let original = fields.need("id")?;
    let id = mapped(original, &format!("{}.id", place.path))?;
    let title = fields.need("title")?;
    let class = fields.text("class")?.or(within.class.as_deref()).unwrap_or(CLASS_UNSAID);
    let mut own = within.labels.clone();
    own.insert(OSCAL_ID.to_owned(), original.to_owned());
    let given = labels::of_props(&mut fields, original, &mut draft.skips)?;
    let labels = labels::with_own(given, own, ("control", original, &place.path), &mut draft.skips);
    let (statement, parameters) = statement(&mut fields, original, params, draft)?;
    let command = json!({"id": id, "title": title, "class": class, "statement": statement,
                         "parameters": parameters, "labels": labels});
    draft.push(Item::new(Kind::Control, id, original, &place.path, object(command)))?;

    let mut inner = within.clone();
    inner.labels.insert("oscal-parent".to_owned(), original.to_owned());
    for place in fields.list("controls")? {
        control(&place, &inner, params, draft)?;
    }
    draft.skips.rest("control", original, &fields);
    Ok(())
}

/// The prose of a control's statement, and the parameters that are its own or that the statement names.
fn statement(
    fields: &mut Fields<'_>,
    owner: &str,
    params: &Params,
    draft: &mut Draft,
) -> Result<(String, Texts), Fault> {
    let mut parameters = Texts::new();
    for place in fields.list("params")? {
        let id = place.fields()?.need("id")?;
        parameters.extend(params.said(id).map(|said| (id.to_owned(), said)));
    }
    let mut texts = Vec::new();
    for part in fields.list("parts")? {
        let (_, name) = prose::name(&part)?;
        if name != "statement" {
            draft.skips.add("part", owner, &part.path, format!("a control keeps its statement and no `{name}`"));
            continue;
        }
        let (text, unknown) = params.fill(&prose::flattened(&part, owner, &mut draft.skips)?, &mut parameters);
        for param in unknown {
            let reason = format!("the statement inserts `{param}`, which the catalog does not define: left as written");
            draft.skips.add("parameter", &param, &part.path, reason);
        }
        texts.push(text);
    }
    Ok((texts.join("\n\n"), parameters))
}
