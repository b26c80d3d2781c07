//! The file of contexts: JSON, readable by its owner only.
//!
//! Always: a file that others may read is refused, because who could write it as well would choose where tokens go; a change takes all
//! of the file or nothing, and two changes at once are made one after the other.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use program::durable_file::{self, FileMode};
use program::secret_file;
use schema::id::Id;
use serde::{Deserialize, Serialize};

use super::context_error::ContextError;
use super::server_context::ServerContext;

/// The version of the file that this program reads and writes.
const FORMAT: u32 = 1;

/// All contexts, and which is the default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ContextFile {
    v: u32,
    pub(crate) default: Option<Id>,
    pub(crate) contexts: BTreeMap<Id, ServerContext>,
}

/// Where the file is for this user.
///
/// # Errors
/// If the environment names no absolute folder.
pub(crate) fn path() -> Result<PathBuf, ContextError> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    // As the XDG Base Directory Specification has it: a relative path counts as none.
    let folder = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")));
    Ok(folder.ok_or(ContextError::NoFolder)?.join("headwater/contexts.json"))
}

impl ContextFile {
    /// Reads the file; without one there are no contexts.
    ///
    /// # Errors
    /// If others may read it, or it is not such a file.
    pub(crate) fn read(path: &Path) -> Result<Self, ContextError> {
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Self { v: FORMAT, default: None, contexts: BTreeMap::new() });
            }
            _ => {}
        }
        let text = secret_file::read(path).map_err(|error| ContextError::File { path: error.path, why: error.why })?;
        let unreadable = |why: String| ContextError::Unreadable { path: path.to_owned(), why };
        let file: Self = serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
        match file.v {
            FORMAT => Ok(file),
            other => Err(unreadable(format!("it has version {other}, and this program knows {FORMAT}"))),
        }
    }

    /// Reads the file, changes it, and writes it.
    ///
    /// # Errors
    /// As [`ContextFile::read`], what `change` says, and if the file can't be written.
    pub(crate) fn change(
        path: &Path,
        change: impl FnOnce(&mut Self) -> Result<(), ContextError>,
    ) -> Result<(), ContextError> {
        let failed = |error: std::io::Error| ContextError::File { path: path.to_owned(), why: error.to_string() };
        let folder = path.parent().ok_or(ContextError::NoFolder)?;
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        let _lock = locked(&path.with_extension("lock")).map_err(failed)?;
        let mut file = Self::read(path)?;
        change(&mut file)?;
        let text = serde_json::to_string_pretty(&file).expect("BUG: texts and numbers can be written as JSON");
        durable_file::replace(path, format!("{text}\n").as_bytes(), FileMode::Exact(0o600)).map_err(failed)
    }

    /// The context of this name.
    pub(crate) fn find(&self, name: &Id) -> Result<&ServerContext, ContextError> {
        self.contexts.get(name).ok_or_else(|| ContextError::Unknown(name.clone()))
    }

    pub(crate) fn check_new(&self, name: &Id) -> Result<(), ContextError> {
        if self.contexts.contains_key(name) { Err(ContextError::Exists(name.clone())) } else { Ok(()) }
    }

    pub(crate) fn add(&mut self, name: Id, context: ServerContext) -> Result<(), ContextError> {
        self.check_new(&name)?;
        self.contexts.insert(name, context);
        Ok(())
    }

    pub(crate) fn make_default(&mut self, name: Id) -> Result<(), ContextError> {
        self.find(&name)?;
        self.default = Some(name);
        Ok(())
    }

    pub(crate) fn remove(&mut self, name: &Id) -> Result<(), ContextError> {
        self.find(name)?;
        self.contexts.remove(name);
        self.default.take_if(|default| default == name);
        Ok(())
    }
}

/// A lock that ends with the file. Another name than that of the contexts, because these are replaced.
fn locked(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    file.lock()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn context(url: &str) -> ServerContext {
        let log_id = "0198b0a2-0000-7000-8000-000000000000".parse().expect("a log");
        ServerContext { url: url.into(), log_id, token: None, ca_file: None, plain: false }
    }

    fn name(text: &str) -> Id {
        text.parse().expect("a name")
    }

    #[test]
    fn contexts_are_added_once_and_the_default_goes_with_its_context() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a/b/contexts.json");
        let change = |change: fn(&mut ContextFile) -> Result<(), ContextError>| ContextFile::change(&path, change);
        assert_eq!(change(|file| file.make_default(name("lund"))), Err(ContextError::Unknown(name("lund"))));
        assert!(!path.exists(), "a refusal writes nothing");
        assert_eq!(change(|file| file.add(name("lund"), context("http://a"))), Ok(()));
        assert_eq!(change(|file| file.add(name("lund"), context("http://b"))), Err(ContextError::Exists(name("lund"))));
        assert_eq!(change(|file| file.make_default(name("lund"))), Ok(()));
        let mode = fs::metadata(&path).expect("the file").permissions().mode() & 0o777;
        let file = ContextFile::read(&path).expect("contexts");
        assert_eq!((mode, file.default.as_ref(), file.contexts.len()), (0o600, Some(&name("lund")), 1));
        assert_eq!(change(|file| file.remove(&name("lund"))), Ok(()));
        assert_eq!(ContextFile::read(&path).expect("contexts").default, None);
    }

    #[test]
    fn a_file_that_others_may_read_or_that_is_something_else_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("contexts.json");
        ContextFile::change(&path, |file| file.add(name("lund"), context("http://a"))).expect("a context");
        for mode in [0o640, 0o604, 0o620, 0o666] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
            // Where root owns the file, a group may read it.
            let is_allowed = mode == 0o640 && rustix::process::geteuid().is_root();
            assert_eq!(ContextFile::read(&path).is_ok(), is_allowed, "{mode:o}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a mode");
        for text in
            ["", "[]", r#"{"v":2,"default":null,"contexts":{}}"#, r#"{"v":1,"default":null,"contexts":{},"x":1}"#]
        {
            fs::write(&path, text).expect("a file");
            assert!(matches!(ContextFile::read(&path), Err(ContextError::Unreadable { .. })), "{text}");
        }
    }

    #[test]
    fn of_changes_at_once_none_is_lost() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("contexts.json");
        std::thread::scope(|scope| {
            for number in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    let added =
                        ContextFile::change(path, |file| file.add(name(&format!("c{number}")), context("http://a")));
                    added.expect("it is added");
                });
            }
        });
        assert_eq!(ContextFile::read(&path).expect("contexts").contexts.len(), 8);
    }
}
