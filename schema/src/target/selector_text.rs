//! Label selectors as text, in the syntax of Kubernetes: `site=lund,rack in (a,b),!spare`.
//!
//! Requirements are separated by commas, and all must hold: `KEY` and `!KEY` (the label is there, or missing), `KEY=VALUE`,
//! `KEY==VALUE` and `KEY!=VALUE`, `KEY in (VALUE,…)` and `KEY notin (VALUE,…)`. As in Kubernetes a value may be empty, and `!=` and
//! `notin` also hold where the label is missing.
//!
//! Absent on purpose: the empty text, which Kubernetes takes for everything, because an unset variable of a shell must not mean the
//! whole fleet; `>` and `<`, which no selector of Headwater has; and quotes, so that a label with a space or one of `,()!=<>` can't be
//! named in text.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use super::{Operator, Requirement, Selector};
use crate::invalid::InputError;

/// The longer ones first, because a symbol is as long as it can be.
const SYMBOLS: [&str; 9] = ["!=", "==", "=", "!", "(", ")", ",", "<", ">"];

impl FromStr for Selector {
    type Err = InputError;

    fn from_str(text: &str) -> Result<Self, InputError> {
        if text.trim().is_empty() {
            return Err(InputError::new("empty_target", "the selector has no requirement"));
        }
        let mut tokens = Tokens { rest: text };
        let mut selector = Self::default();
        loop {
            selector.require(tokens.requirement()?);
            match tokens.next() {
                Token::End => return Ok(selector),
                Token::Symbol(",") => {}
                other => return Err(unexpected("`,` or the end", other)),
            }
        }
    }
}

impl Selector {
    /// Adds a requirement: one on a single value is a label to match, as somebody would write it by hand.
    fn require(&mut self, requirement: Requirement) {
        let Requirement { key, operator, values } = &requirement;
        match (operator, values.first()) {
            (Operator::In, Some(value)) if values.len() == 1 && !self.match_labels.contains_key(key) => {
                self.match_labels.insert(key.clone(), value.clone());
            }
            _ => self.match_expressions.push(requirement),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    /// A key, a value or an operator in letters.
    Word(&'a str),
    Symbol(&'static str),
    End,
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(text) | Self::Symbol(text) => write!(f, "`{text}`"),
            Self::End => f.write_str("the end"),
        }
    }
}

/// What is left of the text.
#[derive(Clone, Copy)]
struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    fn next(&mut self) -> Token<'a> {
        self.rest = self.rest.trim_start();
        if let Some(symbol) = SYMBOLS.into_iter().find(|symbol| self.rest.starts_with(symbol)) {
            self.rest = &self.rest[symbol.len()..];
            return Token::Symbol(symbol);
        }
        let is_end = |next: char| next.is_whitespace() || "!=(),<>".contains(next);
        let (word, rest) = self.rest.split_at(self.rest.find(is_end).unwrap_or(self.rest.len()));
        self.rest = rest;
        if word.is_empty() { Token::End } else { Token::Word(word) }
    }

    /// The next token, which stays where it is.
    fn peek(mut self) -> Token<'a> {
        self.next()
    }

    fn requirement(&mut self) -> Result<Requirement, InputError> {
        let requirement = |key: &str, operator, values| Requirement { key: key.to_owned(), operator, values };
        let key = match self.next() {
            Token::Word(key) => key,
            Token::Symbol("!") => {
                return match self.next() {
                    Token::Word(key) => Ok(requirement(key, Operator::DoesNotExist, BTreeSet::new())),
                    other => Err(unexpected("a label's name after `!`", other)),
                };
            }
            other => return Err(unexpected("a label's name", other)),
        };
        if matches!(self.peek(), Token::End | Token::Symbol(",")) {
            return Ok(requirement(key, Operator::Exists, BTreeSet::new()));
        }
        let (operator, values) = match self.next() {
            Token::Symbol("=" | "==") => (Operator::In, self.single_value()?),
            Token::Symbol("!=") => (Operator::NotIn, self.single_value()?),
            Token::Word("in") => (Operator::In, self.values()?),
            Token::Word("notin") => (Operator::NotIn, self.values()?),
            other => return Err(unexpected(&format!("`=`, `!=`, `in`, `notin` or `,` after `{key}`"), other)),
        };
        Ok(requirement(key, operator, values))
    }

    /// The value after `=` or `!=`.
    fn single_value(&mut self) -> Result<BTreeSet<String>, InputError> {
        Ok([self.value("a value")?].into())
    }

    /// A word, or nothing where a value ends.
    fn value(&mut self, expected: &str) -> Result<String, InputError> {
        match self.peek() {
            Token::Word(value) => {
                self.next();
                Ok(value.to_owned())
            }
            Token::End | Token::Symbol("," | ")") => Ok(String::new()),
            other => Err(unexpected(expected, other)),
        }
    }

    /// Values in parentheses.
    fn values(&mut self) -> Result<BTreeSet<String>, InputError> {
        match self.next() {
            Token::Symbol("(") => {}
            other => return Err(unexpected("`(` and values", other)),
        }
        if self.peek() == Token::Symbol(")") {
            return Err(unexpected("at least one value", Token::Symbol(")")));
        }
        let mut values = BTreeSet::new();
        loop {
            values.insert(self.value("a value, `,` or `)`")?);
            match self.next() {
                Token::Symbol(",") => {}
                Token::Symbol(")") => return Ok(values),
                other => return Err(unexpected("`,` or `)`", other)),
            }
        }
    }
}

fn unexpected(expected: &str, found: Token<'_>) -> InputError {
    InputError::new("invalid_target", format!("expected {expected}, and found {found}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::Labels;
    use serde_json::json;

    #[test]
    fn a_selector_is_read_as_kubernetes_reads_it() {
        let labels = |labels: serde_json::Value| json!({"match_labels": labels});
        let one = |key: &str, operator: &str, values: &[&str]| {
            let mut expression = json!({"key": key, "operator": operator});
            if !values.is_empty() {
                expression["values"] = json!(values);
            }
            json!({"match_expressions": [expression]})
        };
        for (text, expected) in [
            ("site=lund", labels(json!({"site": "lund"}))),
            (" site == lund ", labels(json!({"site": "lund"}))),
            ("site=lund,rack=a", labels(json!({"site": "lund", "rack": "a"}))),
            ("site in (lund)", labels(json!({"site": "lund"}))),
            ("site=", labels(json!({"site": ""}))),
            ("a.b/c_d-e=1.0", labels(json!({"a.b/c_d-e": "1.0"}))),
            ("stad=Malmö", labels(json!({"stad": "Malmö"}))),
            ("site!=lund", one("site", "NotIn", &["lund"])),
            ("site != lund", one("site", "NotIn", &["lund"])),
            ("site", one("site", "Exists", &[])),
            ("!spare", one("spare", "DoesNotExist", &[])),
            ("! spare", one("spare", "DoesNotExist", &[])),
            ("rack in (a,b)", one("rack", "In", &["a", "b"])),
            ("rack in(b , a,a)", one("rack", "In", &["a", "b"])),
            ("rack in (a,)", one("rack", "In", &["", "a"])),
            ("rack\tnotin\n(a)", one("rack", "NotIn", &["a"])),
            ("in", one("in", "Exists", &[])),
            ("notin notin (in)", one("notin", "NotIn", &["in"])),
            (
                "site=lund,site=malmo",
                json!({"match_labels": {"site": "lund"},
                    "match_expressions": [{"key": "site", "operator": "In", "values": ["malmo"]}]}),
            ),
            (
                "site=lund,rack in (a,b),!spare",
                json!({"match_labels": {"site": "lund"}, "match_expressions": [
                    {"key": "rack", "operator": "In", "values": ["a", "b"]}, {"key": "spare", "operator": "DoesNotExist"}]}),
            ),
        ] {
            let read: Selector = text.parse().expect(text);
            assert_eq!(serde_json::to_value(&read).expect("writes"), expected, "{text}");
        }
    }

    #[test]
    fn a_text_that_is_no_selector_is_refused_with_what_is_wrong() {
        for (text, code, detail) in [
            ("", "empty_target", "no requirement"),
            (" \t", "empty_target", "no requirement"),
            (",", "invalid_target", "expected a label's name, and found `,`"),
            ("a,", "invalid_target", "expected a label's name, and found the end"),
            ("a,,b", "invalid_target", "expected a label's name, and found `,`"),
            ("=b", "invalid_target", "expected a label's name, and found `=`"),
            ("!", "invalid_target", "after `!`, and found the end"),
            ("!a=b", "invalid_target", "expected `,` or the end, and found `=`"),
            ("a=b=c", "invalid_target", "expected `,` or the end, and found `=`"),
            ("a=b c", "invalid_target", "expected `,` or the end, and found `c`"),
            ("a===b", "invalid_target", "expected a value, and found `=`"),
            ("a=!b", "invalid_target", "expected a value, and found `!`"),
            ("a>1", "invalid_target", "after `a`, and found `>`"),
            ("a b", "invalid_target", "after `a`, and found `b`"),
            ("a In (b)", "invalid_target", "after `a`, and found `In`"),
            ("a in", "invalid_target", "expected `(` and values, and found the end"),
            ("a in b", "invalid_target", "expected `(` and values, and found `b`"),
            ("a in ()", "invalid_target", "expected at least one value, and found `)`"),
            ("a in (b", "invalid_target", "expected `,` or `)`, and found the end"),
            ("a in (b c)", "invalid_target", "expected `,` or `)`, and found `c`"),
            ("a in (b=c)", "invalid_target", "expected `,` or `)`, and found `=`"),
            ("a in (=)", "invalid_target", "expected a value, `,` or `)`, and found `=`"),
            ("a)", "invalid_target", "after `a`, and found `)`"),
        ] {
            let refused = text.parse::<Selector>().expect_err(text);
            assert_eq!(refused.code, code, "{text}");
            assert!(refused.detail.contains(detail), "{text}: {}", refused.detail);
        }
    }

    #[test]
    fn a_selector_of_text_selects_what_kubernetes_would() {
        let labels: Labels = [("site".to_owned(), "lund".to_owned()), ("rack".to_owned(), String::new())].into();
        for (text, selects) in [
            ("site=lund", true),
            ("site=lund,rack=", true),
            ("site=lund,site=malmo", false),
            ("site in (malmo,lund),!spare", true),
            ("site notin (malmo)", true),
            ("spare!=yes", true),
            ("spare notin (yes,no)", true),
            ("spare", false),
            ("spare=", false),
            ("rack in (a,)", true),
        ] {
            assert_eq!(text.parse::<Selector>().expect(text).matches(&labels), selects, "{text}");
        }
    }
}
