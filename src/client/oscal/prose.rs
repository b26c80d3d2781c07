//! OSCAL prose as plain text: parts flattened with their labels, insertions replaced by their texts.

use super::error::OscalError;
use super::json_node::{Fields, JsonNode};
use super::labels;
use super::skip_list::SkipList;

const INDENT: &str = "  ";

/// Prose with each `{{ insert: param, ID }}` replaced by what `text_of` gives for the id. Where that is none, the insertion
/// stays as it is written.
pub(super) fn replace_insertions(prose: &str, mut text_of: impl FnMut(&str) -> Option<String>) -> String {
    let (mut text, mut rest) = (String::with_capacity(prose.len()), prose);
    while let Some((before, behind)) = rest.split_once("{{") {
        text.push_str(before);
        let Some((insertion, after)) = behind.split_once("}}") else {
            text.push_str("{{");
            rest = behind;
            continue;
        };
        match inserted_id(insertion).and_then(&mut text_of) {
            Some(value) => text.push_str(&value),
            None => text.extend(["{{", insertion, "}}"]),
        }
        rest = after;
    }
    text.push_str(rest);
    text
}

/// `ac-1_prm_1` of ` insert: param, ac-1_prm_1 `.
fn inserted_id(insertion: &str) -> Option<&str> {
    let (kind, id) = insertion.trim().strip_prefix("insert:")?.split_once(',')?;
    (kind.trim() == "param").then_some(id.trim())
}

/// A part and all parts below it, one line for each, with insertions not replaced yet.
pub(super) fn flatten_part(part: &JsonNode<'_>, owner: &str, skips: &mut SkipList) -> Result<String, OscalError> {
    let mut lines = Vec::new();
    flatten(part, owner, 0, &mut lines, skips)?;
    Ok(lines.join("\n"))
}

fn flatten(
    part: &JsonNode<'_>,
    owner: &str,
    depth: usize,
    lines: &mut Vec<String>,
    skips: &mut SkipList,
) -> Result<(), OscalError> {
    let mut fields = part.fields()?;
    for name in ["id", "uuid", "name", "class", "ns"] {
        fields.text(name)?;
    }
    let mut own = labels::read_props(&mut fields, owner, skips)?;
    let label = own.remove("label");
    let line = [label.as_deref(), fields.text("title")?, fields.text("prose")?];
    let line = line.into_iter().flatten().map(str::trim).filter(|piece| !piece.is_empty()).collect::<Vec<_>>();
    let has_text = !line.is_empty();
    if has_text {
        let indent = INDENT.repeat(depth);
        lines.extend(line.join(" ").lines().map(|line| format!("{indent}{line}").trim_end().to_owned()));
    }
    for name in own.into_keys() {
        skips.add("part", owner, &fields.path, format!("the property `{name}` of a part of the statement is not kept"));
    }
    let parts = fields.list("parts")?;
    skips.add_rest("part", owner, &fields);
    // A part without a text of its own only groups others, and is no level of the outline.
    let below = depth + usize::from(has_text);
    parts.iter().try_for_each(|part| flatten(part, owner, below, lines, skips))
}

/// The name of a part, and its other fields.
pub(super) fn part_name<'a>(part: &JsonNode<'a>) -> Result<(Fields<'a>, &'a str), OscalError> {
    let mut fields = part.fields()?;
    let name = fields.need("name")?;
    Ok((fields, name))
}
