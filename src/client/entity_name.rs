//! How people name one thing of a known kind.

use std::fmt::Display;
use std::str::FromStr;

/// An id as it is, or with its kind as `get -o name` prints it: `node-1` or `node/node-1`.
pub(crate) fn parse_id<T: FromStr<Err: Display>>(kind: &str, text: &str) -> Result<T, String> {
    let id = text.strip_prefix(kind).and_then(|rest| rest.strip_prefix('/')).unwrap_or(text);
    id.parse().map_err(|error| format!("{error}"))
}

/// A node.
pub(crate) fn parse_node<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    parse_id("node", text)
}

/// A job.
pub(crate) fn parse_job<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    parse_id("job", text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use schema::id::Id;

    #[test]
    fn the_kind_may_stand_before_the_id_and_no_other_may() {
        for text in ["n-1", "node/n-1"] {
            assert_eq!(parse_node::<Id>(text).map(|id| id.to_string()), Ok("n-1".to_owned()));
        }
        for text in ["job/n-1", "node/", "node/node/n-1", "node//n-1", ""] {
            assert!(parse_node::<Id>(text).is_err(), "{text}");
        }
    }
}
