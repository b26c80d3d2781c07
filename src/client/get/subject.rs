//! The first argument of `get`: a kind, or a kind and an id as `KIND/ID`.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Arg, Command, ValueEnum as _};
use schema::id::Id;

use super::resource_kind::ResourceKind;

/// A kind, and one of the kind if it is named with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) kind: ResourceKind,
    pub(super) id: Option<Id>,
}

/// Reads a subject, and knows the kinds for help and completions.
#[derive(Clone, Debug)]
pub(super) struct SubjectParser;

impl TypedValueParser for SubjectParser {
    type Value = Subject;

    fn parse_ref(&self, command: &Command, _: Option<&Arg>, value: &OsStr) -> Result<Subject, clap::Error> {
        let invalid = |why: String| command.clone().error(ErrorKind::InvalidValue, why);
        let text = value.to_str().ok_or_else(|| invalid("a kind is UTF-8".to_owned()))?;
        let (kind, id) = match text.split_once('/') {
            Some((kind, id)) => (kind, Some(id.parse().map_err(|error| invalid(format!("`{text}`: {error}")))?)),
            None => (text, None),
        };
        let kind = ResourceKind::from_str(kind, false)
            .map_err(|_| invalid(format!("`{kind}` is no kind; the kinds are {}", names().join(", "))))?;
        Ok(Subject { kind, id })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(ResourceKind::value_variants().iter().filter_map(ResourceKind::to_possible_value)))
    }
}

fn names() -> Vec<String> {
    let values = ResourceKind::value_variants().iter().filter_map(ResourceKind::to_possible_value);
    values.map(|value| value.get_name().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_may_bring_its_id() {
        let read = |text: &str| SubjectParser.parse_ref(&Command::new("get"), None, OsStr::new(text));
        let subject = |kind, id: Option<&str>| Subject { kind, id: id.map(|id| id.parse().expect("an id")) };
        for (text, expected) in [
            ("nodes", subject(ResourceKind::Nodes, None)),
            ("node", subject(ResourceKind::Nodes, None)),
            ("node/n-1", subject(ResourceKind::Nodes, Some("n-1"))),
            ("bundles/b", subject(ResourceKind::Bundles, Some("b"))),
        ] {
            assert_eq!(read(text).expect(text), expected);
        }
        for text in ["", "weather", "/", "node/", "node/a.b", "node/a/b", "Nodes"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
