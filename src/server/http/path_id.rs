//! The parameters that stand in the path of a URL.

use std::str::FromStr;

use api::error_code::ErrorCode;
use schema::invalid::InputError;
use serde_json::json;

use crate::http::params::{GivenParams, Parameter, RequestParameters, id_schema};
use crate::http::problem::ProblemResponse;

const ID: Parameter = Parameter::path("id", "The id of the entity.", id_schema);
const PATH: Parameter = Parameter::path(
    "path",
    "The path of the file on the node, with its slashes: `etc/motd`, or `jobs/<id>.json` for the spec of a claimed job.",
    || json!({"type": "string", "minLength": 1}),
);

/// The id of an entity.
pub(super) struct PathId<T>(pub(super) T);

/// The path of a file on a node.
pub(super) struct FilePath(pub(super) String);

impl<T: FromStr<Err = InputError> + Send> RequestParameters for PathId<T> {
    fn declared() -> Vec<Parameter> {
        vec![ID]
    }

    fn codes() -> Vec<ErrorCode> {
        vec![ErrorCode::UnknownEntity]
    }

    fn take(given: &GivenParams) -> Result<Self, ProblemResponse> {
        given.path_as(&ID).map(Self)
    }
}

impl RequestParameters for FilePath {
    fn declared() -> Vec<Parameter> {
        vec![PATH]
    }

    fn codes() -> Vec<ErrorCode> {
        vec![ErrorCode::UnknownFile]
    }

    fn take(given: &GivenParams) -> Result<Self, ProblemResponse> {
        Ok(Self(given.path(&PATH).to_owned()))
    }
}
