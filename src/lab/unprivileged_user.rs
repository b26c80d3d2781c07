//! The account that PostgreSQL runs as, since it refuses to run as root.
//!
//! If we are root, it runs as `postgres` where the machine has that account, and as `nobody` otherwise; else it runs as we do.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{Gid, Uid};

use super::Error;

/// In order of preference.
const NAMES: [&str; 2] = ["postgres", "nobody"];

/// An account of this machine that is not root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnprivilegedUser {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
}

impl UnprivilegedUser {
    /// The account to run PostgreSQL as; none if we are not root.
    pub fn for_postgres() -> Result<Option<Self>, Error> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let found = NAMES.iter().find_map(|name| named(name, &passwd));
        found.map(Some).ok_or(Error::NoAccount)
    }

    /// Whether this account may enter `dir`. A process of the account tries it, since access lists and mounts count besides
    /// modes.
    pub fn can_enter(self, dir: &Path) -> bool {
        Command::new("setpriv")
            .args(self.setpriv_args())
            .args(["--", "sh", "-c", r#"cd -- "$0""#])
            .arg(dir)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    /// Changes the owner of `path` to this account.
    pub fn own(self, path: &Path) -> Result<(), Error> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        rustix::fs::chown(path, Some(uid), Some(gid)).map_err(|error| Error::file("give away", path, error.into()))
    }

    pub(super) fn setpriv_args(self) -> [String; 3] {
        [format!("--reuid={}", self.uid), format!("--regid={}", self.gid), "--clear-groups".to_owned()]
    }
}

/// Finds `name` in the text of a passwd file.
fn named(name: &str, passwd: &str) -> Option<UnprivilegedUser> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_it = fields.next() == Some(name);
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        (is_it && uid != 0).then_some(UnprivilegedUser { uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::{UnprivilegedUser, named};

    #[test]
    fn an_account_is_read_from_its_own_line_and_is_never_root() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nodd\nnobody:x:65534:65533::/:/bin/false\n";
        let (uid, gid) = (65534, 65533);
        assert_eq!(named("nobody", passwd), Some(UnprivilegedUser { uid, gid }));
        assert_eq!(named("nobod", passwd), None);
        assert_eq!(named("root", passwd), None);
    }
}
