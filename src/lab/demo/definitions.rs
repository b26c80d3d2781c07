//! The definitions that the demo imports: files of OSCAL, and how they get to the door.
//!
//! Always: they are imported by the program that everybody imports with.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::process::Command;

use super::error::Error;

/// Definitions, as files of OSCAL, and how they get to the door.
#[derive(Clone)]
pub(super) struct Definitions {
    files: Vec<PathBuf>,
    url: String,
    token: String,
}

impl Definitions {
    /// The files below the examples, for this door.
    pub(super) fn new(examples: &Path, url: &str, token: &str) -> Self {
        let files = ["catalog.json", "components.json", "plan.json"].map(|file| examples.join("oscal").join(file));
        Self { files: files.into(), url: url.to_owned(), token: token.to_owned() }
    }

    /// Imports them with `headwater import`, and gives what came of it.
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

/// A token is not shown.
impl fmt::Debug for Definitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Definitions").field("files", &self.files).field("url", &self.url).finish_non_exhaustive()
    }
}

/// What an import came to, as `--json` prints it.
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
