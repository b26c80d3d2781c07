//! Imports the demo's OSCAL files with `headwater import`, as a user would.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::process::Command;

use super::error::Error;

/// OSCAL files, and the server to import them into.
#[derive(Clone)]
pub(super) struct Definitions {
    files: Vec<PathBuf>,
    url: String,
    token: String,
}

impl Definitions {
    /// The files in the examples folder.
    pub(super) fn new(examples: &Path, url: &str, token: &str) -> Self {
        let files = ["catalog.json", "components.json", "plan.json"].map(|file| examples.join("oscal").join(file));
        Self { files: files.into(), url: url.to_owned(), token: token.to_owned() }
    }

    /// Runs `headwater import oscal --json`, and gives its output.
    pub(super) async fn import(&self) -> Result<Imported, Error> {
        let program = std::env::current_exe().map_err(Error::Import)?;
        let import = Command::new(program)
            .args(["import", "oscal", "--json", "--reason", "the rules of the house"])
            .args(&self.files)
            .env("HEADWATER_URL", &self.url)
            .env("HEADWATER_TOKEN", &self.token)
            .kill_on_drop(true)
            .output();
        let output = import.await.map_err(Error::Import)?;
        match serde_json::from_slice(&output.stdout) {
            Ok(imported) if output.status.success() => Ok(imported),
            _ => Err(Error::Imported(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
        }
    }
}

/// Without the token.
impl fmt::Debug for Definitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Definitions").field("files", &self.files).field("url", &self.url).finish_non_exhaustive()
    }
}

/// The output of `headwater import --json`.
#[derive(Deserialize)]
pub(super) struct Imported {
    pub(super) events: usize,
    pub(super) counts: BTreeMap<String, ImportCounts>,
    pub(super) skipped: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
pub(super) struct ImportCounts {
    pub(super) created: usize,
}
