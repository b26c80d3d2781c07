//! The items that a file declares: types by their names, functions by their length.

use super::source::Source;

/// Words that declare a type.
const TYPES: [&str; 5] = ["struct", "enum", "trait", "type", "union"];

/// Names of the types that can be seen outside their module, and the lines on which they are declared.
pub(crate) fn types(source: &Source) -> Vec<(&str, usize)> {
    let lines = source.code.lines().enumerate();
    lines.filter_map(|(index, line)| Some((visible_type(line.trim_start())?, index + 1))).collect()
}

fn visible_type(line: &str) -> Option<&str> {
    let after = line.strip_prefix("pub")?;
    let after = match after.strip_prefix('(') {
        Some(inside) => inside.split_once(')')?.1,
        None => after,
    };
    let (word, after) = after.strip_prefix(' ')?.split_once(' ')?;
    TYPES.contains(&word).then(|| name(after)).filter(|name| !name.is_empty())
}

/// The word that a text begins with.
fn name(text: &str) -> &str {
    let end = text.find(|next: char| !(next.is_alphanumeric() || next == '_'));
    &text[..end.unwrap_or(text.len())]
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function<'a> {
    pub(crate) name: &'a str,
    /// The line of its name.
    pub(crate) line: usize,
    /// Lines from its name to its closing brace.
    pub(crate) lines: usize,
}

/// Every function of a file, also one inside another.
pub(crate) fn functions(source: &Source) -> Vec<Function<'_>> {
    let code = source.code.as_str();
    let starts =
        code.match_indices("fn ").filter(|(at, _)| !code[..*at].ends_with(|last: char| last.is_alphanumeric()));
    starts.filter_map(|(at, word)| function(code, at, at + word.len())).collect()
}

fn function(code: &str, start: usize, after: usize) -> Option<Function<'_>> {
    let name = Some(name(&code[after..])).filter(|name| !name.is_empty())?;
    let end = after + body(&code[after..])?;
    let line = code[..start].matches('\n').count() + 1;
    Some(Function { name, line, lines: code[start..end].matches('\n').count() + 1 })
}

/// Where the body ends that follows a name; none if there is only a declaration.
fn body(text: &str) -> Option<usize> {
    let (mut braces, mut others) = (0usize, 0usize);
    for (at, next) in text.char_indices() {
        match next {
            '{' => braces += 1,
            '}' if braces == 1 => return Some(at + 1),
            '}' => braces = braces.checked_sub(1)?,
            '(' | '[' => others += 1,
            ')' | ']' => others = others.saturating_sub(1),
            // An array's length has one, too.
            ';' if braces == 0 && others == 0 => return None,
            _ => {}
        }
    }
    None
}
