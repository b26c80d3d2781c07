//! Reads the text of a file into nodes.
//!
//! Always: a fault that the grammar lets pass (an anchor, a tag, a key twice, a number that JSON can't say) is noted, and the rest of
//! the file is read; a fault of the grammar ends the file.

use std::borrow::Cow;
use std::iter::Peekable;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};
use serde::de::IgnoredAny;

use super::fault::{FaultList, TextPlace};
use super::plain_scalar::resolve;
use super::yaml_node::{YamlEntry, YamlNode, YamlValue};

/// Mappings and lists within each other.
const DEPTH_MAX: usize = 100;

/// The documents of a text; empty ones are left out.
pub(super) fn read(text: &str, faults: &mut FaultList) -> Vec<YamlNode> {
    let text = with_joined_surrogates(text);
    let mut reader = DocumentReader { events: Parser::new_from_str(&text).peekable(), faults };
    let mut documents = Vec::new();
    loop {
        match reader.next_document() {
            Ok(Some(node)) => documents.push(node),
            Ok(None) => return documents,
            Err(EndOfFile) => return documents,
        }
    }
}

/// A fault after which nothing more can be read of the file. It is noted.
struct EndOfFile;

struct DocumentReader<'text, 'faults> {
    events: Peekable<Parser<'text, StrInput<'text>>>,
    faults: &'faults mut FaultList,
}

impl<'text> DocumentReader<'text, '_> {
    fn next_document(&mut self) -> Result<Option<YamlNode>, EndOfFile> {
        while let Some((event, span)) = self.next_event()? {
            match event {
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
                Event::StreamEnd => return Ok(None),
                Event::Scalar(text, ScalarStyle::Plain, 0, None) if text.is_empty() => {}
                event => return self.node(event, span, 0).map(Some),
            }
        }
        Ok(None)
    }

    fn next_event(&mut self) -> Result<Option<(Event<'text>, Span)>, EndOfFile> {
        self.events.next().transpose().map_err(|error: ScanError| {
            let at = TextPlace { line: error.marker().line(), column: error.marker().col() + 1 };
            self.faults.add(at, "not_yaml", error.info());
            EndOfFile
        })
    }

    fn node(&mut self, event: Event<'text>, span: Span, depth: usize) -> Result<YamlNode, EndOfFile> {
        let at = place(span);
        if depth > DEPTH_MAX {
            self.faults.add(at, "too_deep", format!("more than {DEPTH_MAX} mappings and lists are within each other"));
            return Err(EndOfFile);
        }
        let value = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_anchor_and_tag(at, anchor, tag.is_some());
                self.scalar(at, text, style)
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_anchor_and_tag(at, anchor, tag.is_some());
                self.list(depth)?
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_anchor_and_tag(at, anchor, tag.is_some());
                self.map(depth)?
            }
            _ => {
                self.faults.add(at, "alias", "an alias stands here: write the value out");
                YamlValue::Null
            }
        };
        Ok(YamlNode { value, at })
    }

    fn refuse_anchor_and_tag(&mut self, at: TextPlace, anchor: usize, has_tag: bool) {
        if anchor != 0 {
            self.faults.add(at, "anchor", "an anchor stands here: take it away, and write the value where it is used");
        }
        if has_tag {
            self.faults.add(at, "tag", "a tag stands here: take it away, and put a text in quotes");
        }
    }

    fn scalar(&mut self, at: TextPlace, text: Cow<'_, str>, style: ScalarStyle) -> YamlValue {
        if style != ScalarStyle::Plain {
            return YamlValue::Text(text.into_owned());
        }
        resolve(&text).unwrap_or_else(|_| {
            let detail = format!(
                "the number `{text}` can't be written in JSON: write it in decimal digits, or put a text in quotes"
            );
            self.faults.add(at, "not_json", detail);
            YamlValue::Null
        })
    }

    fn list(&mut self, depth: usize) -> Result<YamlValue, EndOfFile> {
        let mut items = Vec::new();
        while let Some((event, span)) = self.next_event()? {
            match event {
                Event::SequenceEnd => break,
                event => items.push(self.node(event, span, depth + 1)?),
            }
        }
        Ok(YamlValue::List(items))
    }

    fn map(&mut self, depth: usize) -> Result<YamlValue, EndOfFile> {
        let mut entries: Vec<YamlEntry> = Vec::new();
        let mut places = std::collections::HashMap::new();
        while let Some((event, span)) = self.next_event()? {
            if event == Event::MappingEnd {
                break;
            }
            let (key_at, is_plain) = (place(span), matches!(event, Event::Scalar(_, ScalarStyle::Plain, ..)));
            let key = self.node(event, span, depth + 1)?;
            let Some((event, span)) = self.next_event()? else { break };
            let value = self.node(event, span, depth + 1)?;
            let Some(key) = self.key(key, is_plain) else { continue };
            match places.insert(key.clone(), key_at) {
                None => entries.push(YamlEntry { key, key_at, value }),
                Some(first) => {
                    let detail = format!("`{key}` stands here twice, first in line {}", first.line);
                    self.faults.add(key_at, "duplicate_key", detail);
                }
            }
        }
        Ok(YamlValue::Map(entries))
    }

    fn key(&mut self, key: YamlNode, is_plain: bool) -> Option<String> {
        match key.value {
            YamlValue::Text(text) if text == "<<" && is_plain => {
                self.faults.add(key.at, "merge_key", "`<<` is not read: write the members out");
                None
            }
            YamlValue::Text(text) => Some(text),
            _ => {
                self.faults.add(key.at, "not_json", "a key is a text: put it in quotes");
                None
            }
        }
    }
}

fn place(span: Span) -> TextPlace {
    TextPlace { line: span.start.line(), column: span.start.col() + 1 }
}

/// JSON writes a character beyond U+FFFF as two escapes, and YAML as one. In a text that is JSON, all strings have double quotes, so
/// that such pairs can be found without reading it.
fn with_joined_surrogates(text: &str) -> Cow<'_, str> {
    let has_pair = text.contains("\\ud") || text.contains("\\uD");
    if !has_pair || serde_json::from_str::<IgnoredAny>(text).is_err() {
        return Cow::Borrowed(text);
    }
    let (mut joined, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find('\\') {
        joined.push_str(&rest[..at]);
        rest = &rest[at..];
        let escaped = match surrogate_pair(rest) {
            Some(character) => {
                joined.push_str(&format!("\\U{:08x}", u32::from(character)));
                12
            }
            // A backslash and what it escapes, which may be a backslash.
            None => {
                let length = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
                joined.push_str(&rest[..length]);
                length
            }
        };
        rest = &rest[escaped..];
    }
    joined.push_str(rest);
    Cow::Owned(joined)
}

/// The character of `\ud83d\ude00` at the beginning of a text.
fn surrogate_pair(text: &str) -> Option<char> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    char::decode_utf16([unit(0)?, unit(6)?]).next()?.ok().filter(|character| *character > '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::canonical;

    fn read_text(text: &str) -> (Vec<String>, Vec<String>) {
        let mut faults = FaultList::new("f".into());
        let documents = read(text, &mut faults);
        let documents = documents.iter().map(canonical::of).collect();
        (documents, faults.into_faults().iter().map(|fault| format!("{} {}", fault.at, fault.code)).collect())
    }

    #[test]
    fn yaml_and_json_are_read_with_numbers_as_they_are_written() {
        for (text, expected) in [
            ("b: 1.50\na: [1e3, ~, yes, 'no', True]\n", r#"{"a":[1e3,null,"yes","no",true],"b":1.50}"#),
            (r#"{"b": 1.50, "a": "\ud83d\ude00\\ud83d\u00e4\/"}"#, r#"{"a":"😀\\ud83dä/","b":1.50}"#),
            ("a: |\n  x\n   y\n\n", r#"{"a":"x\n y\n"}"#),
            ("\u{feff}---\n---\na: 123456789012345678901\n...\n", r#"{"a":123456789012345678901}"#),
            ("'a': \"\\u0000\\x1b\"", "{\"a\":\"\\u0000\\u001b\"}"),
        ] {
            assert_eq!(read_text(text), (vec![expected.to_owned()], vec![]), "{text}");
        }
        assert_eq!(read_text("a: 1\n---\nb: 2\n").0, [r#"{"a":1}"#, r#"{"b":2}"#]);
        assert_eq!(read_text("# nothing\n"), (vec![], vec![]));
    }

    #[test]
    fn every_fault_is_named_with_its_place() {
        let text = "a: &x 1\nb: *x\na: 2\nc: !!str 3\nd: 0x1f\n<<: {e: 1}\n1: f\n? [g]\n: h\ni: [.inf, 007]\n";
        let expected = [
            "f:1:4 anchor",
            "f:2:4 alias",
            "f:3:1 duplicate_key",
            "f:4:4 tag",
            "f:5:4 not_json",
            "f:6:1 merge_key",
            "f:7:1 not_json",
            "f:8:3 not_json",
            "f:10:5 not_json",
            "f:10:11 not_json",
        ];
        assert_eq!(read_text(text).1, expected);
        assert_eq!(
            read_text("a: 1\n---\nb: [1,\n"),
            (vec![r#"{"a":1}"#.to_owned()], vec!["f:4:1 not_yaml".to_owned()])
        );
        assert_eq!(read_text(r#"{"a": "\ud83d"}"#).1, ["f:1:7 not_yaml"], "half a character is none");
    }

    #[test]
    fn what_is_too_deep_is_refused_and_no_stack_overflows() {
        for deep in ["[".repeat(200), "- ".repeat(100_000), "[".repeat(100_000)] {
            let (documents, faults) = read_text(&deep);
            assert!(documents.is_empty() && faults.len() == 1, "{faults:?}");
        }
        let deepest = format!("{}{}", "[".repeat(DEPTH_MAX + 1), "]".repeat(DEPTH_MAX + 1));
        assert_eq!(read_text(&deepest), (vec![deepest.clone()], vec![]));
    }
}
