//! A document's bytes, their digest and media type, and whether the bytes can be what the media type says.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::invalid::InputError;
use crate::limit::{CONTENT_BYTES_MAX, MEDIA_TYPE_BYTES_MAX};
use crate::text_form;

/// A media type: printable ASCII, `type/subtype` with optional parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType(Arc<str>);

impl MediaType {
    /// The media type's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the media type is `application/json`, whatever its parameters.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.essence().eq_ignore_ascii_case("application/json")
    }

    /// The least that bytes of this media type are; [`ContentForm::Bytes`] where nothing is certain, as of text in a named encoding
    /// other than UTF-8, of HTML and XML (which name their encoding inside), of YAML (which may be UTF-16), and of images.
    #[must_use]
    pub fn demands(&self) -> ContentForm {
        let essence = self.essence().to_ascii_lowercase();
        match essence.as_str() {
            "application/json" | "text/json" => ContentForm::Json,
            suffixed if suffixed.ends_with("+json") => ContentForm::Json,
            "text/html" | "text/xml" if self.charset().is_none() => ContentForm::Bytes,
            "application/toml" => ContentForm::Utf8,
            text if text.starts_with("text/") => match self.charset() {
                None => ContentForm::Utf8,
                Some(charset) if ["utf-8", "us-ascii"].iter().any(|utf8| charset.eq_ignore_ascii_case(utf8)) => {
                    ContentForm::Utf8
                }
                Some(_) => ContentForm::Bytes,
            },
            _ => ContentForm::Bytes,
        }
    }

    fn essence(&self) -> &str {
        self.0.split(';').next().unwrap_or_default().trim()
    }

    fn charset(&self) -> Option<&str> {
        let parameters = self.0.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
        let mut charsets = parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
        charsets.next().map(|(_, value)| value.trim().trim_matches('"'))
    }
}

impl core::str::FromStr for MediaType {
    type Err = InputError;

    fn from_str(text: &str) -> Result<Self, InputError> {
        let printable = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        let halves = text.split_once('/').is_some_and(|(kind, rest)| !kind.is_empty() && !rest.is_empty());
        if !printable || !halves || text.len() > MEDIA_TYPE_BYTES_MAX {
            let detail =
                format!("a media type is type/subtype in at most {MEDIA_TYPE_BYTES_MAX} printable ASCII bytes");
            return Err(InputError::new("invalid_value", detail));
        }
        Ok(Self(text.into()))
    }
}

impl Serialize for MediaType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for MediaType {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_form::parsed(deserializer)
    }
}

/// What bytes are, each of these being a special case of the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ContentForm {
    /// Any bytes.
    Bytes,
    /// Text in UTF-8.
    Utf8,
    /// One JSON value (RFC 8259), of any depth and with numbers of any size.
    Json,
}

impl ContentForm {
    fn of(bytes: &[u8]) -> Self {
        match core::str::from_utf8(bytes) {
            Err(_) => Self::Bytes,
            // Nothing is kept and nothing recurses, so that depth and size of what is read cost nothing.
            Ok(text) if serde_json::from_str::<IgnoredAny>(text).is_ok() => Self::Json,
            Ok(_) => Self::Utf8,
        }
    }
}

/// A document's bytes with the digest that names them. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    bytes: Arc<[u8]>,
    digest: Digest,
    form: ContentForm,
}

impl Content {
    /// Content of at most 4 MiB.
    ///
    /// # Errors
    /// `too_large`.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Result<Self, InputError> {
        let bytes = bytes.into();
        if bytes.len() > CONTENT_BYTES_MAX {
            let detail = format!("content has at most {CONTENT_BYTES_MAX} bytes, this one {}", bytes.len());
            return Err(InputError::new("too_large", detail));
        }
        Ok(Self { digest: Digest::of(&bytes), form: ContentForm::of(&bytes), bytes })
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// Their name.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What the bytes are.
    #[must_use]
    pub fn form(&self) -> ContentForm {
        self.form
    }

    /// Why the bytes are no JSON, with line and column; nothing if they are. It reads all of them again.
    #[must_use]
    pub fn json_fault(&self) -> Option<String> {
        match core::str::from_utf8(&self.bytes) {
            Err(error) => Some(format!("{error}")),
            Ok(text) => serde_json::from_str::<IgnoredAny>(text).err().map(|error| format!("{error}")),
        }
    }
}

/// The content of a document that is put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutContent {
    /// The bytes came with the command.
    Given(Content),
    /// The log holds them.
    Known(KnownContent),
    /// The log is said to hold bytes of this digest; nobody has looked yet. A decision takes them for unknown.
    Named(Digest),
}

/// Content that the log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownContent {
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// How many bytes there are.
    pub size: u64,
    /// What they are.
    pub form: ContentForm,
}

impl KnownContent {
    /// What is known of these bytes.
    #[must_use]
    pub fn of(digest: Digest, bytes: &[u8]) -> Self {
        Self { digest, size: bytes.len() as u64, form: ContentForm::of(bytes) }
    }
}

impl From<Content> for PutContent {
    fn from(content: Content) -> Self {
        Self::Given(content)
    }
}

impl PutContent {
    /// The name of the bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        match self {
            Self::Given(content) => content.digest(),
            Self::Known(known) => known.digest,
            Self::Named(digest) => *digest,
        }
    }

    /// What is known of the bytes; nothing if nobody has looked.
    #[must_use]
    pub fn known(&self) -> Option<KnownContent> {
        match self {
            Self::Given(Content { bytes, digest, form }) => {
                Some(KnownContent { digest: *digest, size: bytes.len() as u64, form: *form })
            }
            Self::Known(known) => Some(*known),
            Self::Named(_) => None,
        }
    }

    /// What is known of the bytes, once somebody has looked for them in the log.
    pub fn resolve(&mut self, known: impl FnOnce(&Digest) -> Option<KnownContent>) {
        if let Self::Named(digest) = self
            && let Some(known) = known(digest)
        {
            *self = Self::Known(known);
        }
    }

    /// The bytes, if they came with the command.
    #[must_use]
    pub fn given(&self) -> Option<&Content> {
        match self {
            Self::Given(content) => Some(content),
            Self::Known(_) | Self::Named(_) => None,
        }
    }

    /// Why the bytes are no JSON, as far as they are here.
    #[must_use]
    pub fn json_fault(&self) -> String {
        let fault = self.given().and_then(Content::json_fault);
        fault.unwrap_or_else(|| String::from("the stored bytes of this digest are none"))
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({} bytes, {})", self.bytes.len(), self.digest.short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    fn media_type(text: &str) -> MediaType {
        text.parse().expect("a media type")
    }

    #[test]
    fn a_media_type_demands_what_is_certain_and_no_more() {
        let table = [
            ("application/json", ContentForm::Json),
            ("Application/JSON; charset=utf-8", ContentForm::Json),
            ("text/json", ContentForm::Json),
            ("application/ld+json", ContentForm::Json),
            ("text/plain", ContentForm::Utf8),
            ("text/plain; charset=\"UTF-8\"", ContentForm::Utf8),
            ("text/plain;format=flowed", ContentForm::Utf8),
            ("text/plain; charset=iso-8859-1", ContentForm::Bytes),
            ("text/html", ContentForm::Bytes),
            ("text/html; charset=utf-8", ContentForm::Utf8),
            ("application/toml", ContentForm::Utf8),
            ("application/xml", ContentForm::Bytes),
            ("application/yaml", ContentForm::Bytes),
            ("application/octet-stream", ContentForm::Bytes),
            ("application/jsonl", ContentForm::Bytes),
        ];
        for (text, form) in table {
            assert_eq!(media_type(text).demands(), form, "{text}");
        }
        assert!(media_type("application/json;v=1").is_json() && !media_type("application/ld+json").is_json());
    }

    #[test]
    fn bytes_are_json_if_the_grammar_says_so_however_deep_and_large() {
        let content = |bytes: Vec<u8>| Content::new(bytes).expect("small enough");
        let deep = [vec![b'['; 200_000], vec![b']'; 200_000]].concat();
        let table: [(&[u8], ContentForm); 11] = [
            (b"{}", ContentForm::Json),
            (b" [1e999, 123456789012345678901234567890] ", ContentForm::Json),
            (b"\"\\ud800\"", ContentForm::Json),
            (b"{\"a\": 1, \"a\": 2}", ContentForm::Json),
            (&deep, ContentForm::Json),
            (b"", ContentForm::Utf8),
            (b"{\"a\": 1,}", ContentForm::Utf8),
            (b"{} {}", ContentForm::Utf8),
            (b"hello", ContentForm::Utf8),
            ("\u{feff}{}".as_bytes(), ContentForm::Utf8),
            (b"\"\xff\"", ContentForm::Bytes),
        ];
        for (bytes, form) in table {
            let content = content(bytes.to_vec());
            assert_eq!(content.form(), form, "{:.40}", String::from_utf8_lossy(bytes));
            assert_eq!(content.json_fault().is_none(), form == ContentForm::Json);
        }
    }
}
