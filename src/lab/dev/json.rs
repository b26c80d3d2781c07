//! `dev.json`: what a script needs to find everything that `headwater dev` runs.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The file's content. It holds tokens and passwords, so only its owner may read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevJson {
    /// The door's URL.
    pub http: String,
    /// The nats-server's URL, with its credentials.
    pub nats: String,
    /// The database's URL, with the superuser's credentials.
    pub database: String,
    /// A token for each role.
    pub tokens: Tokens,
    /// The nodes, in the order of their numbers.
    pub nodes: Vec<DevNode>,
    /// Where PostgreSQL lives, if its account can't enter the folder.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub data: Option<PathBuf>,
}

impl DevJson {
    /// The file's text, on one line.
    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("BUG: texts can be written as JSON")
    }
}

/// A token for each role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// May do everything.
    pub admin: String,
    /// May read.
    pub auditor: String,
}

/// One edge node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevNode {
    /// Its id.
    pub id: String,
    /// Its folder, absolute.
    pub dir: PathBuf,
}
