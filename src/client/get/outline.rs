//! One entity with all that is known of it, one line for each value.

use schema::terminal;
use serde_json::Value;

use super::table::format_value;

const INDENT: &str = "  ";

/// The lines of an entity.
pub(super) fn format_entity(value: &Value) -> String {
    let mut lines = Vec::new();
    outline(value, 0, &mut lines);
    lines.join("\n") + "\n"
}

fn outline(value: &Value, depth: usize, lines: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| member(&terminal::line(name), value, depth, lines)),
        Value::Array(list) => list.iter().for_each(|item| member("-", item, depth, lines)),
        Value::String(text) => lines.extend(text.lines().map(|line| indented(depth, &terminal::line(line)))),
        other => lines.push(indented(depth, &format_value(other))),
    }
}

fn member(name: &str, value: &Value, depth: usize, lines: &mut Vec<String>) {
    let name = if name == "-" { name.to_owned() } else { format!("{name}:") };
    if is_short(value) {
        lines.push(indented(depth, &format!("{name} {}", format_value(value))));
    } else {
        lines.push(indented(depth, &name));
        outline(value, depth + 1, lines);
    }
}

/// Whether a value is put on the line of its name.
fn is_short(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.contains('\n'),
        Value::Array(list) => list.iter().all(|item| !item.is_object() && !item.is_array() && is_short(item)),
        Value::Object(map) => map.is_empty(),
        _ => true,
    }
}

fn indented(depth: usize, text: &str) -> String {
    format!("{}{text}", INDENT.repeat(depth))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_piece_is_on_a_line_below_its_name() {
        let thing = json!({"id": "a", "list": ["x", "y"], "none": null,
                           "of": [{"path": "p", "size": 1}], "text": "one\n\u{1b}two"});
        let expected = "id: a\nlist: x,y\nnone: -\nof:\n  -\n    path: p\n    size: 1\ntext:\n  one\n  \u{fffd}two\n";
        assert_eq!(format_entity(&thing), expected);
    }
}
