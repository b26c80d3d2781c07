//! Paths of documents, relative to a node's `files/`.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::borrow::Borrow;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use unicode_normalization::is_nfc;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

use crate::invalid::InputError;
use crate::limit::PATH_BYTES_MAX;
use crate::text_form;

/// The first segment that is kept for job specs.
const RESERVED: &str = "jobs";

/// A relative path that can't leave its folder: UTF-8 in NFC, `/`-separated, at most 255 bytes, no empty, `.` or `..`
/// segment, no backslash, no control character, not `jobs` nor below it. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentPath(Arc<str>);

impl DocumentPath {
    /// The path's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The proper prefixes by segment, shortest first: of `a/b/c` these are `a` and `a/b`.
    pub fn ancestors(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').map(|(slash, _)| &self.0[..slash])
    }

    /// The first character that a reader does not see, or that changes how what follows it is shown: Unicode's format
    /// characters (general category Cf, such as U+200B, U+202E and U+FEFF) and its line and paragraph separators (Zl, Zp).
    ///
    /// A new path has none. Reading a path lets them pass, because events and records from before that rule may have them.
    #[must_use]
    fn invisible_char(&self) -> Option<char> {
        use GeneralCategory::{Format, LineSeparator, ParagraphSeparator};
        let is_invisible = |c: &char| matches!(c.general_category(), Format | LineSeparator | ParagraphSeparator);
        self.0.chars().find(is_invisible)
    }

    /// Refuses a path that has such a character.
    ///
    /// # Errors
    /// `invalid_path` in the field `path`.
    pub fn check_visible(&self) -> Result<(), InputError> {
        let Some(unseen) = self.invisible_char() else { return Ok(()) };
        let detail = format!(
            "a new path has no invisible and no direction-changing characters (Unicode categories Cf, Zl and Zp): take \
             U+{:04X} out",
            u32::from(unseen)
        );
        Err(InputError::new("invalid_path", detail).at("path"))
    }

    /// Whether this path lies below `ancestor`.
    #[must_use]
    pub fn is_below(&self, ancestor: &Self) -> bool {
        self.0.strip_prefix(&*ancestor.0).is_some_and(|rest| rest.starts_with('/'))
    }
}

impl FromStr for DocumentPath {
    type Err = InputError;

    fn from_str(text: &str) -> Result<Self, InputError> {
        match path_problem(text) {
            None => Ok(Self(text.into())),
            Some(why) => Err(InputError::new("invalid_path", why)),
        }
    }
}

/// The rule for paths that `text` breaks.
fn path_problem(text: &str) -> Option<String> {
    let why = if text.is_empty() {
        "a path is not empty"
    } else if text.len() > PATH_BYTES_MAX {
        return Some(format!("a path has at most {PATH_BYTES_MAX} bytes, this one {}", text.len()));
    } else if text.starts_with('/') {
        "a path is relative"
    } else if text.chars().any(char::is_control) {
        "a path has no control characters"
    } else if text.contains('\\') {
        "a path has no backslash; segments are separated by /"
    } else if text.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        "a path has no empty, . or .. segment"
    } else if text.split('/').next() == Some(RESERVED) {
        "jobs and what is below it is kept for job specs"
    } else if !is_nfc(text) {
        "a path is in Unicode normalization form C"
    } else {
        return None;
    };
    Some(why.into())
}

/// Paths are ordered as their text is, so that a map of them can be searched by text.
impl Borrow<str> for DocumentPath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DocumentPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DocumentPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for DocumentPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for DocumentPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_form::parsed(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn a_path_cannot_leave_its_folder_or_mean_two_things() {
        let longest = "a".repeat(PATH_BYTES_MAX);
        for valid in ["a", "a/b.json", "jobs2/x", "a/jobs", "ü/é", "a b", "...", "-", longest.as_str()] {
            assert!(valid.parse::<DocumentPath>().is_ok(), "{valid}");
        }
        let too_long = "a".repeat(PATH_BYTES_MAX + 1);
        for refused in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "./a",
            "a/..",
            "a/./b",
            "a\\b",
            "a\0",
            "a\nb",
            "a\u{7f}",
            "a\u{85}",
            "jobs",
            "jobs/a",
            "u\u{308}",
            too_long.as_str(),
        ] {
            assert_eq!(refused.parse::<DocumentPath>().map_err(|e| e.code), Err("invalid_path"), "{refused:?}");
        }
    }

    #[test]
    fn what_a_reader_does_not_see_is_told_and_still_read() {
        let unseen = |text: &str| text.parse::<DocumentPath>().expect("events may have it").invisible_char();
        for seen in ["a/b.json", "ü/é", "a b", "記号/🌊", "a\u{a0}b"] {
            assert_eq!(unseen(seen), None, "{seen}");
        }
        let invisible =
            ['\u{ad}', '\u{200b}', '\u{200d}', '\u{202e}', '\u{2028}', '\u{2029}', '\u{2066}', '\u{feff}', '\u{e0041}'];
        for c in invisible {
            assert_eq!(unseen(&alloc::format!("etc/a{c}b")), Some(c), "{c:?}");
        }
    }

    #[test]
    fn ancestry_goes_by_segment() {
        let path = |text: &str| text.parse::<DocumentPath>().expect("valid");
        assert_eq!(path("a/b/c").ancestors().collect::<Vec<_>>(), ["a", "a/b"]);
        assert!(path("a/b").is_below(&path("a")));
        assert!(!path("ab").is_below(&path("a")));
        assert!(!path("a").is_below(&path("a")));
    }
}
