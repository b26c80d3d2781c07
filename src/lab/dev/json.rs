//! `dev.json`: the addresses, tokens and folders of `headwater dev`, for scripts.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Holds tokens and passwords, so the file has mode 0600.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevJson {
    /// The URL of the HTTP server.
    pub http: String,
    /// The URL of nats-server, without credentials.
    pub nats: String,
    /// The file with the seed of the relay's user of NATS (SU…), which may do everything in the account of the streams.
    pub nats_creds: PathBuf,
    /// The URL of the database, with the superuser's credentials.
    pub database: String,
    /// With `--tls`: the file with the CA that signed every server's certificate.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ca_file: Option<PathBuf>,
    /// A token for each role.
    pub tokens: Tokens,
    /// Ordered by number.
    pub nodes: Vec<DevNode>,
    /// PostgreSQL's folder, if its account can't enter the folder of `dev`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub data: Option<PathBuf>,
}

impl DevJson {
    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("BUG: texts can be written as JSON")
    }
}

/// One token for each role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Of role `admin`.
    pub admin: String,
    /// Of role `auditor`.
    pub auditor: String,
}

/// A node that `dev` enrolled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevNode {
    /// The node's id.
    pub id: String,
    /// Its folder; absolute.
    pub dir: PathBuf,
}
