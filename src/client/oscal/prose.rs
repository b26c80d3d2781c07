//! OSCAL's prose as plain text: parts flattened with their labels, insertions replaced by what they insert.

use super::fault::Fault;
use super::labels;
use super::place::{Fields, Place};
use super::skipped::Skips;

/// How much deeper the parts of a part stand.
const INDENT: &str = "  ";

/// Prose with each `{{ insert: param, ID }}` replaced by what `said` makes of the id; where it makes nothing of it, the
/// insertion stays as it is written.
pub(super) fn filled(prose: &str, mut said: impl FnMut(&str) -> Option<String>) -> String {
    let (mut text, mut rest) = (String::with_capacity(prose.len()), prose);
    while let Some((before, behind)) = rest.split_once("{{") {
        text.push_str(before);
        let Some((insertion, after)) = behind.split_once("}}") else {
            text.push_str("{{");
            rest = behind;
            continue;
        };
        match inserted(insertion).and_then(&mut said) {
            Some(value) => text.push_str(&value),
            None => text.extend(["{{", insertion, "}}"]),
        }
        rest = after;
    }
    text.push_str(rest);
    text
}

/// `ac-1_prm_1` of ` insert: param, ac-1_prm_1 `.
fn inserted(insertion: &str) -> Option<&str> {
    let (kind, id) = insertion.trim().strip_prefix("insert:")?.split_once(',')?;
    (kind.trim() == "param").then_some(id.trim())
}

/// A part and all parts below it, a line for each, still with its insertions.
pub(super) fn flattened(part: &Place<'_>, owner: &str, skips: &mut Skips) -> Result<String, Fault> {
    let mut lines = Vec::new();
    flatten(part, owner, 0, &mut lines, skips)?;
    Ok(lines.join("\n"))
}

fn flatten(
    part: &Place<'_>,
    owner: &str,
    depth: usize,
    lines: &mut Vec<String>,
    skips: &mut Skips,
) -> Result<(), Fault> {
    let mut fields = part.fields()?;
    for name in ["id", "uuid", "name", "class", "ns"] {
        fields.text(name)?;
    }
    let mut own = labels::of_props(&mut fields, owner, skips)?;
    let label = own.remove("label");
    let line = [label.as_deref(), fields.text("title")?, fields.text("prose")?];
    let line = line.into_iter().flatten().map(str::trim).filter(|piece| !piece.is_empty()).collect::<Vec<_>>();
    let is_said = !line.is_empty();
    if is_said {
        let indent = INDENT.repeat(depth);
        lines.extend(line.join(" ").lines().map(|line| format!("{indent}{line}").trim_end().to_owned()));
    }
    for name in own.into_keys() {
        skips.add("part", owner, &fields.path, format!("the property `{name}` of a part of the statement is not kept"));
    }
    let parts = fields.list("parts")?;
    skips.rest("part", owner, &fields);
    // A part that says nothing itself holds the others together and is no step of the outline.
    let below = depth + usize::from(is_said);
    parts.iter().try_for_each(|part| flatten(part, owner, below, lines, skips))
}

/// The name of a part.
pub(super) fn name<'a>(part: &Place<'a>) -> Result<(Fields<'a>, &'a str), Fault> {
    let mut fields = part.fields()?;
    let name = fields.need("name")?;
    Ok((fields, name))
}
