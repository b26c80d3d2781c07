//! The query parameters of a URL, read strictly: an unknown parameter is refused, so that a caller sees its mistake.

use std::collections::BTreeMap;
use std::convert::Infallible;

use api::error_code::ErrorCode;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use schema::position::Position;
use url::form_urlencoded;

use crate::http::problem::ProblemResponse;

/// Numbers in URLs are compared with PostgreSQL's `bigint`.
const NUMBER_MAX: u64 = i64::MAX as u64;

/// The query of a URL. A handler takes the parameters out that it knows, and ends with [`QueryParams::done`].
#[derive(Debug)]
pub(super) struct QueryParams {
    given: BTreeMap<String, String>,
    repeated: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for QueryParams {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

impl QueryParams {
    /// Parses a query.
    pub(super) fn parse(query: &str) -> Self {
        let mut params = Self { given: BTreeMap::new(), repeated: None };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if params.given.insert(name.to_string(), value.into_owned()).is_some() {
                params.repeated = Some(name.into_owned());
            }
        }
        params
    }

    /// Takes a parameter out as text.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.given.remove(name)
    }

    /// Takes a parameter out and reads it with `read`, whose error is the detail of the refusal.
    pub(super) fn take<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ProblemResponse> {
        let Some(text) = self.text(name) else { return Ok(None) };
        read(&text).map(Some).map_err(|detail| ProblemResponse::invalid_parameter(name, detail))
    }

    /// Takes a position out.
    pub(super) fn position(&mut self, name: &str) -> Result<Option<Position>, ProblemResponse> {
        self.take(name, |text| number(text).map(Position::from))
    }

    /// Takes `true` or `false` out; `false` if the parameter is missing.
    pub(super) fn flag(&mut self, name: &str) -> Result<bool, ProblemResponse> {
        let read = |text: &str| text.parse::<bool>().map_err(|_| "is true or false".to_string());
        Ok(self.take(name, read)?.unwrap_or(false))
    }

    /// Refuses parameters that were not taken out, and any that was given twice.
    pub(super) fn done(self) -> Result<(), ProblemResponse> {
        if let Some(name) = self.given.into_keys().next() {
            let detail = format!("`{name}` is not known here");
            return Err(ProblemResponse::new(ErrorCode::UnknownParameter, detail).in_field(name));
        }
        match self.repeated {
            Some(name) => Err(ProblemResponse::invalid_parameter(&name, "is given more than once")),
            None => Ok(()),
        }
    }
}

/// A number in a URL: decimal digits and nothing else.
pub(super) fn number(text: &str) -> Result<u64, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u64>() {
        Ok(number) if digits && number <= NUMBER_MAX => Ok(number),
        _ => Err("is a whole number from 0".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_takes_is_refused_by_name() {
        let mut params = QueryParams::parse("limit=5&colour=red");
        assert_eq!(params.text("limit").as_deref(), Some("5"));
        let refused = params.done().expect_err("colour is unknown");
        assert!(format!("{refused:?}").contains("unknown_parameter"));
        assert!(QueryParams::parse("a=1&a=2").done().is_err());
        assert!(QueryParams::parse("").done().is_ok());
    }

    #[test]
    fn a_number_is_digits_that_postgres_can_hold() {
        assert_eq!(number("0"), Ok(0));
        assert_eq!(number("9223372036854775807"), Ok(NUMBER_MAX));
        for refused in ["", "-1", "+1", "1.0", "0x1", "9223372036854775808", "99999999999999999999"] {
            assert!(number(refused).is_err(), "{refused}");
        }
    }
}
