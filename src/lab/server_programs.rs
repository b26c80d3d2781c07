//! Finds the programs of PostgreSQL and nats-server.
//!
//! The order is: the caller's path, the variable, PATH, the distribution's folders, then `.tools` of the checkout. A candidate
//! must run and print a version that is new enough; else it is skipped, and the error lists it with its reason. A path from a
//! flag or variable is not skipped: it is used, or it is the error.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::version::ProgramVersion;

/// The oldest supported PostgreSQL.
pub const POSTGRES_MIN: ProgramVersion = ProgramVersion::new(15, 0);
/// The oldest supported nats-server: the first with atomic batches, `first_seq` and a TTL for each message.
pub const NATS_MIN: ProgramVersion = ProgramVersion::new(2, 12);

/// Names the folder with `postgres` and `initdb`.
pub const POSTGRES_VARIABLE: &str = "HEADWATER_POSTGRES_BIN";
/// Names the `nats-server` program.
pub const NATS_VARIABLE: &str = "HEADWATER_NATS_SERVER";

/// Debian and Ubuntu have a folder for each major version here.
const DISTRIBUTION: &str = "/usr/lib/postgresql";

/// A usable PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresPrograms {
    /// The folder that holds `postgres` and `initdb`.
    pub bin: PathBuf,
    /// From `postgres --version`.
    pub version: ProgramVersion,
}

/// A usable nats-server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsProgram {
    /// The path of the program.
    pub path: PathBuf,
    /// From `nats-server --version`.
    pub version: ProgramVersion,
}

/// No usable program was found.
#[derive(Debug, thiserror::Error)]
pub struct ProgramNotFoundError {
    /// Name and version that were searched for.
    pub wanted: String,
    /// Each candidate, and why it is not usable.
    pub looked_at: Vec<(PathBuf, UnfitProgram)>,
}

impl fmt::Display for ProgramNotFoundError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "found no {}; `make setup` installs it", self.wanted)?;
        for (path, why) in &self.looked_at {
            write!(f, "\n  {}: {why}", path.display())?;
        }
        Ok(())
    }
}

/// Why a candidate is not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnfitProgram {
    /// The file does not exist.
    #[error("not there")]
    Absent,
    /// A program that belongs beside it is missing.
    #[error("no {0} beside it")]
    Incomplete(&'static str),
    /// It can't be run, or printed no version.
    #[error("does not say its version: {0}")]
    NoVersion(String),
    /// It is too old.
    #[error("is version {found}, and {least} is the least")]
    Old {
        /// Its version.
        found: ProgramVersion,
        /// The oldest supported version.
        least: ProgramVersion,
    },
}

/// Finds PostgreSQL. `named` is a folder that must be used.
pub fn find_postgres(named: Option<&Path>) -> Result<PostgresPrograms, ProgramNotFoundError> {
    let named = named.map(Path::to_path_buf).or_else(|| variable(POSTGRES_VARIABLE));
    let places = named.map_or_else(postgres_places, |bin| vec![bin]);
    first(format!("PostgreSQL {} or newer", POSTGRES_MIN.major), places, postgres_in)
}

/// Finds nats-server. `named` is a program that must be used.
pub fn find_nats_server(named: Option<&Path>) -> Result<NatsProgram, ProgramNotFoundError> {
    let named = named.map(Path::to_path_buf).or_else(|| variable(NATS_VARIABLE));
    let places = named.map_or_else(nats_places, |path| vec![path]);
    first(format!("nats-server {NATS_MIN} or newer"), places, nats_server_at)
}

/// The first usable candidate.
fn first<T>(
    wanted: String,
    places: Vec<PathBuf>,
    look: impl Fn(&Path) -> Result<T, UnfitProgram>,
) -> Result<T, ProgramNotFoundError> {
    let mut looked_at = Vec::new();
    for place in places {
        match look(&place) {
            Ok(found) => return Ok(found),
            Err(unfit) => looked_at.push((place, unfit)),
        }
    }
    Err(ProgramNotFoundError { wanted, looked_at })
}

fn postgres_in(bin: &Path) -> Result<PostgresPrograms, UnfitProgram> {
    // A symlink on PATH points into the folder that has the other programs.
    let program = bin.join("postgres");
    let program = program.canonicalize().map_err(|_| UnfitProgram::Absent)?;
    let bin = program.parent().unwrap_or(bin).to_path_buf();
    if !bin.join("initdb").is_file() {
        return Err(UnfitProgram::Incomplete("initdb"));
    }
    let version = version_of(&program, "postgres (PostgreSQL) ", POSTGRES_MIN)?;
    Ok(PostgresPrograms { bin, version })
}

fn nats_server_at(path: &Path) -> Result<NatsProgram, UnfitProgram> {
    let path = path.canonicalize().map_err(|_| UnfitProgram::Absent)?;
    let version = version_of(&path, "nats-server: v", NATS_MIN)?;
    Ok(NatsProgram { path, version })
}

fn version_of(program: &Path, prefix: &str, least: ProgramVersion) -> Result<ProgramVersion, UnfitProgram> {
    let said = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| UnfitProgram::NoVersion(error.to_string()))?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let line = said.lines().next().unwrap_or_default();
    let found =
        ProgramVersion::after(prefix, line).ok_or_else(|| UnfitProgram::NoVersion(format!("it printed {line:?}")))?;
    if found < least {
        return Err(UnfitProgram::Old { found, least });
    }
    Ok(found)
}

fn postgres_places() -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> = on_path().filter(|dir| dir.join("postgres").exists()).collect();
    places.extend(newest_first(Path::new(DISTRIBUTION)));
    places.extend(tools().map(|tools| tools.join("postgresql/bin")));
    places
}

fn nats_places() -> Vec<PathBuf> {
    on_path()
        .map(|dir| dir.join("nats-server"))
        .filter(|program| program.exists())
        .chain(tools().map(|tools| tools.join("nats-server")))
        .collect()
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn on_path() -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).filter(|dir| dir.is_absolute()).collect::<Vec<_>>().into_iter()
}

/// The `bin` folders below `root/<major version>`, newest first.
fn newest_first(root: &Path) -> Vec<PathBuf> {
    let mut majors: Vec<u32> = std::fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    majors.sort_unstable_by(|a, b| b.cmp(a));
    majors.into_iter().map(|major| root.join(major.to_string()).join("bin")).collect()
}

/// The `.tools` folders of the checkouts that the current folder, this program and its build belong to.
fn tools() -> impl Iterator<Item = PathBuf> {
    let here = std::env::current_dir().ok();
    let program = std::env::current_exe().ok();
    let built = Some(PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    let mut found: Vec<PathBuf> = Vec::new();
    for start in [here, program, built].into_iter().flatten() {
        let above = start.ancestors().map(|dir| dir.join(OsStr::new(".tools"))).find(|tools| tools.is_dir());
        if let Some(tools) = above.filter(|tools| !found.contains(tools)) {
            found.push(tools);
        }
    }
    found.into_iter()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

    use std::fs;

    use super::*;

    /// Makes a program that prints `says` whatever it is asked. Another process writes it: a file that this
    /// one had open for writing, in any thread that is just forking, can't be run.
    fn program(path: &Path, says: &str) {
        let script = r##"printf '#!/bin/sh\necho "%s"\n' "$1" > "$0" && chmod 755 "$0""##;
        let made = Command::new("sh").args(["-c", script]).args([path.as_os_str(), OsStr::new(says)]).status();
        assert!(made.unwrap().success());
    }

    #[test]
    fn the_first_fit_candidate_is_taken_and_the_unfit_before_it_are_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().canonicalize().unwrap().join(name);
        program(&path("old"), "nats-server: v2.9.10");
        program(&path("odd"), "I am a teapot");
        program(&path("good"), "nats-server: v2.12.0");
        program(&path("later"), "nats-server: v2.15.1");
        let places = ["none", "old", "odd", "good", "later"].map(path).to_vec();
        let found = first("it".into(), places, nats_server_at).unwrap();
        assert_eq!(found.path, path("good"));
        assert_eq!(found.version, ProgramVersion::new(2, 12));
    }

    #[test]
    fn an_empty_search_says_what_was_looked_at_and_why_it_would_not_do() {
        let dir = tempfile::tempdir().unwrap();
        let old = dir.path().join("old");
        program(&old, "nats-server: v2.9.10");
        let error = find_nats_server(Some(&old)).unwrap_err();
        let least = NATS_MIN;
        let found = ProgramVersion::new(2, 9);
        assert_eq!(error.looked_at, [(old.clone(), UnfitProgram::Old { found, least })]);
        let text = error.to_string();
        assert!(text.contains("make setup") && text.contains(old.to_str().unwrap()));
    }

    #[test]
    fn a_postgres_without_initdb_beside_it_is_unfit() {
        let dir = tempfile::tempdir().unwrap();
        program(&dir.path().join("postgres"), "postgres (PostgreSQL) 17.2");
        assert_eq!(postgres_in(dir.path()), Err(UnfitProgram::Incomplete("initdb")));
        program(&dir.path().join("initdb"), "");
        assert_eq!(postgres_in(dir.path()).unwrap().version, ProgramVersion::new(17, 2));
    }

    #[test]
    fn the_distributions_folders_are_tried_newest_first_by_number() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["9", "15", "100", "common"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let bins = ["100/bin", "15/bin", "9/bin"].map(|bin| dir.path().join(bin));
        assert_eq!(newest_first(dir.path()), bins);
    }
}
