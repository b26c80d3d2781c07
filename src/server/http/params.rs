//! What a URL asks for, read strictly: a parameter that nobody takes is a mistake, not a wish for later.

use std::collections::BTreeMap;
use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use schema::position::Position;
use url::form_urlencoded;

use crate::http::problem::Problem;

/// Numbers in URLs are those that Postgres can compare with.
const NUMBER_MAX: u64 = i64::MAX as u64;

/// The query of a URL. Whoever reads one takes its parameters out, and says at last that no other is known.
#[derive(Debug)]
pub(super) struct Params {
    given: BTreeMap<String, String>,
    twice: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::read(parts.uri.query().unwrap_or_default()))
    }
}

impl Params {
    /// Reads a query.
    pub(super) fn read(query: &str) -> Self {
        let mut params = Self { given: BTreeMap::new(), twice: None };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if params.given.insert(name.to_string(), value.into_owned()).is_some() {
                params.twice = Some(name.into_owned());
            }
        }
        params
    }

    /// Takes a parameter out as text.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.given.remove(name)
    }

    /// Takes a parameter out as `read` understands it.
    pub(super) fn take<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        read(&text).map(Some).map_err(|detail| Problem::parameter(name, detail))
    }

    /// Takes a position out.
    pub(super) fn position(&mut self, name: &str) -> Result<Option<Position>, Problem> {
        self.take(name, |text| number(text).map(Position::from))
    }

    /// Takes a yes or no out; left out means no.
    pub(super) fn flag(&mut self, name: &str) -> Result<bool, Problem> {
        let read = |text: &str| text.parse::<bool>().map_err(|_| "is true or false".to_string());
        Ok(self.take(name, read)?.unwrap_or(false))
    }

    /// Says that no other parameter is known here, and none may be given twice.
    pub(super) fn done(self) -> Result<(), Problem> {
        if let Some(name) = self.given.into_keys().next() {
            let detail = format!("`{name}` is not known here");
            return Err(Problem::new(StatusCode::BAD_REQUEST, "unknown_parameter", detail).at(name));
        }
        match self.twice {
            Some(name) => Err(Problem::parameter(&name, "is given more than once")),
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
        let mut params = Params::read("limit=5&colour=red");
        assert_eq!(params.text("limit").as_deref(), Some("5"));
        let refused = params.done().expect_err("colour is unknown");
        assert!(format!("{refused:?}").contains("unknown_parameter"));
        assert!(Params::read("a=1&a=2").done().is_err());
        assert!(Params::read("").done().is_ok());
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
