//! The folder of a PostgreSQL cluster.
//!
//! It is at the path asked for, unless PostgreSQL must run as an account that can't enter it (we are root, and a parent has mode
//! 0700): then it is in /var/tmp, and a symlink at the path points to it. If the symlink's folder was removed, the cluster in
//! /var/tmp is removed by the next start at that path.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::unprivileged_user::UnprivilegedUser;
use super::{Error, private_file};

/// Unlike /tmp it survives a reboot.
const ELSEWHERE: &str = "/var/tmp";
/// Prefix of the folder's name there.
const PREFIX: &str = "headwater-";

/// Creates the folder for `wanted`, or finds it again, and gives it to the account with mode 0700.
pub(super) fn make(wanted: &Path, account: Option<UnprivilegedUser>) -> Result<PathBuf, Error> {
    let Some(account) = account else {
        private_file::folder(wanted, None)?;
        return Ok(wanted.to_path_buf());
    };
    let can_enter = account.can_enter(wanted.parent().unwrap_or(Path::new("/")));
    match fs::symlink_metadata(wanted) {
        Ok(there) if there.is_symlink() => found_elsewhere(wanted, account),
        Ok(_) if !can_enter => Err(Error::Shut(wanted.to_path_buf())),
        Err(error) if error.kind() == ErrorKind::NotFound && !can_enter => {
            let home = elsewhere(wanted);
            if home.exists() {
                own(&home, account)?; // fails unless it is ours to remove
                tracing::info!(home = %home.display(), "removing a cluster whose folder was removed");
                private_file::remove_folder(&home)?;
            }
            own(&home, account)?;
            symlink(&home, wanted).map_err(|error| Error::file("link", wanted, error))?;
            Ok(home)
        }
        _ => {
            own(wanted, account)?;
            Ok(wanted.to_path_buf())
        }
    }
}

/// The folder that the symlink at `wanted` points to.
fn found_elsewhere(wanted: &Path, account: UnprivilegedUser) -> Result<PathBuf, Error> {
    let home = fs::read_link(wanted).map_err(|error| Error::file("read", wanted, error))?;
    if !home.is_dir() {
        return Err(Error::Gone(home));
    }
    own(&home, account)?;
    Ok(home)
}

/// Creates the folder if needed, and gives it to the account; fails if it belongs to a third account.
fn own(home: &Path, account: UnprivilegedUser) -> Result<(), Error> {
    private_file::folder(home, Some(account.uid))?;
    account.own(home)
}

/// The path in /var/tmp for `wanted`, always the same one.
fn elsewhere(wanted: &Path) -> PathBuf {
    let name = hex::encode(&Sha256::digest(wanted.as_os_str().as_encoded_bytes())[..8]);
    Path::new(ELSEWHERE).join(format!("{PREFIX}{name}"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn set_mode(dir: &Path, mode: u32) {
        fs::set_permissions(dir, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_other_place_is_the_same_for_the_same_folder_and_differs_for_another() {
        let of = |path: &str| elsewhere(Path::new(path));
        assert_eq!(of("/root/a/postgres"), of("/root/a/postgres"));
        assert_ne!(of("/root/a/postgres"), of("/root/b/postgres"));
        assert!(of("/root/a/postgres").starts_with(ELSEWHERE));
    }

    #[test]
    fn a_home_that_its_account_cannot_reach_is_elsewhere_and_belongs_to_the_folder() {
        // Only root has another account to drop to.
        let Some(account) = UnprivilegedUser::for_postgres().unwrap() else {
            return;
        };
        let dir = tempfile::tempdir().unwrap();
        set_mode(dir.path(), 0o700);
        let wanted = dir.path().join("postgres");
        let home = make(&wanted, Some(account)).unwrap();
        assert!(home.starts_with(ELSEWHERE) && account.can_enter(&home));
        fs::write(home.join("mark"), "").unwrap();

        assert_eq!(make(&wanted, Some(account)).unwrap(), home);
        assert!(home.join("mark").exists(), "found again");
        fs::remove_file(&wanted).unwrap();
        assert_eq!(make(&wanted, Some(account)).unwrap(), home);
        assert!(!home.join("mark").exists(), "cleared with its folder");
        fs::remove_dir_all(&home).unwrap();
        assert!(matches!(make(&wanted, Some(account)), Err(Error::Gone(_))));
    }

    #[test]
    fn a_home_that_its_account_can_reach_is_where_it_was_asked_for() {
        let Some(account) = UnprivilegedUser::for_postgres().unwrap() else {
            return;
        };
        let dir = tempfile::tempdir().unwrap();
        let open = |mode| fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
        open(0o711);
        let wanted = dir.path().join("postgres");
        assert_eq!(make(&wanted, Some(account)).unwrap(), wanted);
        assert!(account.can_enter(&wanted));
        set_mode(dir.path(), 0o700);
        assert!(matches!(make(&wanted, Some(account)), Err(Error::Shut(_))));
    }
}
