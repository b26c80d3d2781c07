//! The parameters of a request: declared by each operation, and read strictly.
//!
//! Always: a parameter that an operation does not declare is refused before its handler runs, so that a caller sees its mistake; a
//! handler can take only what is declared.

use std::collections::BTreeMap;
use std::str::FromStr;

use api::error_code::ErrorCode;
use api::query::DRY_RUN;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use schema::invalid::InputError;
use schema::limit::ID_CHARS_MAX;
use schema::position::Position;
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::http::problem::ProblemResponse;

/// Numbers in URLs are compared with PostgreSQL's `bigint`.
const NUMBER_MAX: u64 = i64::MAX as u64;

/// Authentication looks at it, too: an auditor may ask for dry runs.
pub(super) const DRY: Parameter = Parameter::query(
    DRY_RUN,
    "Whether the request is only decided and nothing is appended. An auditor may ask for it.",
    flag_schema,
);

/// A parameter that an operation declares.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) place: ParameterPlace,
    pub(super) is_required: bool,
    /// One sentence for the document.
    pub(super) description: &'static str,
    /// Its JSON Schema.
    pub(super) schema: fn() -> Value,
}

/// Where a parameter stands in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ParameterPlace {
    /// A segment of the path, or all that follows.
    Path,
    /// The query of the URL.
    Query,
    /// A header.
    Header,
}

/// Parameters that a handler takes together.
pub(super) trait RequestParameters: Sized + Send {
    /// Whether [`RequestParameters::is_fixed`] can be true.
    const CAN_BE_FIXED: bool = false;

    /// What is declared.
    fn declared() -> Vec<Parameter>;

    /// The codes that these parameters can cause beside `invalid_parameter`.
    fn codes() -> Vec<ErrorCode> {
        Vec::new()
    }

    /// Reads them from a request.
    fn take(given: &GivenParams) -> Result<Self, ProblemResponse>;

    /// Whether the answer never changes, because the request names the position that it holds for.
    fn is_fixed(&self) -> bool {
        false
    }
}

/// The parameters as a request has them.
#[derive(Debug, Default)]
pub(super) struct GivenParams {
    path: BTreeMap<String, String>,
    query: BTreeMap<String, String>,
    repeated: Option<String>,
    headers: HeaderMap,
}

impl Parameter {
    pub(super) const fn query(name: &'static str, description: &'static str, schema: fn() -> Value) -> Self {
        Self { name, place: ParameterPlace::Query, is_required: false, description, schema }
    }

    pub(super) const fn header(name: &'static str, description: &'static str, schema: fn() -> Value) -> Self {
        Self { name, place: ParameterPlace::Header, is_required: false, description, schema }
    }

    pub(super) const fn path(name: &'static str, description: &'static str, schema: fn() -> Value) -> Self {
        Self { name, place: ParameterPlace::Path, is_required: true, description, schema }
    }

    /// The same parameter, which must be there.
    pub(super) const fn required(self) -> Self {
        Self { is_required: true, ..self }
    }
}

impl GivenParams {
    /// The parameters of a request. A path that is not UTF-8 is refused.
    pub(super) async fn of(parts: &mut Parts) -> Result<Self, ProblemResponse> {
        let path = RawPathParams::from_request_parts(parts, &()).await;
        let path = path.map_err(|error| ProblemResponse::new(ErrorCode::BadRequest, error.body_text()))?;
        let path = path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok(Self { path, headers: parts.headers.clone(), ..Self::of_query(parts.uri.query().unwrap_or_default()) })
    }

    /// The parameters of a query.
    pub(super) fn of_query(query: &str) -> Self {
        let mut given = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if given.query.insert(name.to_string(), value.into_owned()).is_some() {
                given.repeated = Some(name.into_owned());
            }
        }
        given
    }

    /// Refuses query parameters that are not declared, and any that was given twice.
    pub(super) fn check(&self, declared: &[Parameter]) -> Result<(), ProblemResponse> {
        let is_known = |name: &str| {
            declared.iter().any(|parameter| parameter.place == ParameterPlace::Query && parameter.name == name)
        };
        if let Some(name) = self.query.keys().find(|name| !is_known(name)) {
            let detail = format!("`{name}` is not known here");
            return Err(ProblemResponse::new(ErrorCode::UnknownParameter, detail).in_field(name));
        }
        match &self.repeated {
            Some(name) => Err(ProblemResponse::invalid_parameter(name, "is given more than once")),
            None => Ok(()),
        }
    }

    /// The headers of the request.
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Reads the parameter with `read`, whose error is the detail of the refusal. None if the query does not have it.
    pub(super) fn query<T>(
        &self,
        parameter: &Parameter,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ProblemResponse> {
        let Some(text) = self.query.get(parameter.name) else { return Ok(None) };
        read(text).map(Some).map_err(|detail| ProblemResponse::invalid_parameter(parameter.name, detail))
    }

    /// The text of the parameter in the path.
    pub(super) fn path(&self, parameter: &Parameter) -> &str {
        self.path.get(parameter.name).map_or("", String::as_str)
    }

    /// The parameter in the path as an id or a number.
    pub(super) fn path_as<T: FromStr<Err = InputError>>(&self, parameter: &Parameter) -> Result<T, ProblemResponse> {
        let read = self.path(parameter).parse();
        read.map_err(|invalid: InputError| ProblemResponse::invalid_parameter(parameter.name, invalid.detail))
    }

    /// Reads a position.
    pub(super) fn position(&self, parameter: &Parameter) -> Result<Option<Position>, ProblemResponse> {
        self.query(parameter, |text| number(text).map(Position::from))
    }

    /// Reads `true` or `false`; `false` if the parameter is missing.
    pub(super) fn flag(&self, parameter: &Parameter) -> Result<bool, ProblemResponse> {
        let read = |text: &str| text.parse::<bool>().map_err(|_| "is true or false".to_string());
        Ok(self.query(parameter, read)?.unwrap_or(false))
    }
}

/// Parameters of which each is declared and taken by itself.
macro_rules! together {
    ($($part:ident),*) => {
        impl<$($part: RequestParameters),*> RequestParameters for ($($part,)*) {
            const CAN_BE_FIXED: bool = $($part::CAN_BE_FIXED)||*;

            fn declared() -> Vec<Parameter> {
                [$($part::declared()),*].concat()
            }

            fn codes() -> Vec<ErrorCode> {
                [$($part::codes()),*].concat()
            }

            fn take(given: &GivenParams) -> Result<Self, ProblemResponse> {
                Ok(($($part::take(given)?,)*))
            }

            fn is_fixed(&self) -> bool {
                #[allow(non_snake_case, reason = "a part has the name of its type")]
                let ($($part,)*) = self;
                $($part.is_fixed())||*
            }
        }
    };
}
together!(A, B);
together!(A, B, C);
together!(A, B, C, D);

impl RequestParameters for () {
    fn declared() -> Vec<Parameter> {
        Vec::new()
    }

    fn take(_: &GivenParams) -> Result<Self, ProblemResponse> {
        Ok(())
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

/// The schema of a flag in a URL.
pub(super) fn flag_schema() -> Value {
    json!({"type": "boolean", "default": false})
}

/// The schema of an id in a URL.
pub(super) fn id_schema() -> Value {
    json!({"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]*$", "minLength": 1, "maxLength": ID_CHARS_MAX})
}

/// The schema of a position in a URL.
pub(super) fn position_schema() -> Value {
    json!({"type": "integer", "format": "int64", "minimum": 0, "maximum": NUMBER_MAX})
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Parameter = Parameter::query("limit", "", position_schema);
    const A: Parameter = Parameter::query("a", "", position_schema);

    #[test]
    fn what_is_not_declared_is_refused_by_name() {
        let given = GivenParams::of_query("limit=5&colour=red");
        assert_eq!(given.position(&LIMIT), Ok(Some(5.into())));
        let refused = given.check(&[LIMIT]).expect_err("colour is unknown");
        assert!(format!("{refused:?}").contains("unknown_parameter"));
        assert!(GivenParams::of_query("a=1&a=2").check(&[A]).is_err());
        assert!(GivenParams::of_query("").check(&[]).is_ok());
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
