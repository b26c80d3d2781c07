//! Values that are text wherever they are written, read back without copying the text first: a large log holds millions of them.

use core::fmt;
use core::marker::PhantomData;
use core::str::FromStr;

use serde::de::{Deserializer, Error, Unexpected, Visitor};

/// Reads a value from its text.
pub(crate) fn parsed<'de, D, T, E>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err = E>,
    E: fmt::Display,
{
    read_by(deserializer, T::from_str)
}

/// Reads a value from its text by a function of its own.
pub(crate) fn read_by<'de, D, T, E>(deserializer: D, read: impl Fn(&str) -> Result<T, E>) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    E: fmt::Display,
{
    deserializer.deserialize_str(TextVisitor { read, value: PhantomData })
}

struct TextVisitor<F, T> {
    read: F,
    value: PhantomData<fn() -> T>,
}

impl<T, E: fmt::Display, F: Fn(&str) -> Result<T, E>> Visitor<'_> for TextVisitor<F, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<X: Error>(self, text: &str) -> Result<T, X> {
        (self.read)(text).map_err(X::custom)
    }

    /// Some writers of MessagePack write text as bytes, and `String` is read from them, too.
    fn visit_bytes<X: Error>(self, bytes: &[u8]) -> Result<T, X> {
        match core::str::from_utf8(bytes) {
            Ok(text) => self.visit_str(text),
            Err(_) => Err(X::invalid_value(Unexpected::Bytes(bytes), &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::de::IntoDeserializer as _;
    use serde::de::value::{BytesDeserializer, Error, StringDeserializer, U64Deserializer};

    use super::*;

    #[test]
    fn a_value_is_read_from_text_and_from_bytes_that_are_text() {
        let of_text: StringDeserializer<Error> = alloc::string::String::from("-7").into_deserializer();
        assert_eq!(parsed::<_, i64, _>(of_text), Ok(-7));
        assert_eq!(parsed::<_, i64, _>(BytesDeserializer::<Error>::new(b"-7")), Ok(-7));
        for no_number in [&b"seven"[..], b"\xff"] {
            assert!(parsed::<_, i64, _>(BytesDeserializer::<Error>::new(no_number)).is_err(), "{no_number:?}");
        }
        let of_number: U64Deserializer<Error> = 7_u64.into_deserializer();
        let refused = parsed::<_, i64, _>(of_number).map_err(|error| alloc::format!("{error}"));
        assert_eq!(refused, Err("invalid type: integer `7`, expected a string".into()));
    }
}
