//! The children that are `headwater` itself, and what each is told.
//!
//! Always: a secret goes to a child in a file or in its environment, never on its command line, which everybody on
//! the machine can read; each child is told what it needs and no more.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::child::{ChildSpec, StopSignal};
use crate::folder::Folder;
use crate::{Error as LabError, private_file};

/// The database's name.
pub(super) const DATABASE: &str = "headwater";
/// The file with the first admin's token.
pub(super) const ADMIN_TOKEN: &str = "admin.token";
/// The file with the key that records are signed with.
const SIGNING_KEY: &str = "signing.key";
/// How long the server may take over answering what it was asked before it ends.
const SERVE_GRACE: Duration = Duration::from_secs(20);
/// How long a node may take to finish what it is writing.
const EDGE_GRACE: Duration = Duration::from_secs(10);

/// How children of our own are started.
#[derive(Debug)]
pub(super) struct Children {
    program: PathBuf,
    /// The agent, and the subcommand that it is if there is no program of its own.
    agent: (PathBuf, Option<&'static str>),
    /// Where we were started, so that a relative path in a hook means what it meant to whoever wrote it.
    dir: PathBuf,
}

/// Where the two servers are.
#[derive(Clone, Debug)]
pub(super) struct Backends {
    /// The superuser's URL of the database.
    pub(super) database: String,
    /// PostgreSQL's port.
    pub(super) postgres: u16,
    /// The nats-server's URL.
    pub(super) nats: String,
}

impl Children {
    /// Starts `program`, or this one.
    pub(super) fn new(program: Option<&Path>) -> std::io::Result<Self> {
        let program = program.map_or_else(std::env::current_exe, std::path::absolute)?;
        let dir = std::env::current_dir()?;
        let alone = program.with_file_name("headwater-edge");
        let agent = if alone.is_file() { (alone, None) } else { (program.clone(), Some("edge")) };
        Ok(Self { program, agent, dir })
    }

    /// `headwater install`, as the superuser.
    pub(super) fn install(&self, folder: &Folder, ground: &Backends) -> Result<ChildSpec, LabError> {
        let file = |name: &str| OsString::from(folder.secret_file(name));
        let mut args: Vec<OsString> = vec!["install".into(), "--json".into()];
        for role in ["app", "replication", "reader"] {
            password(folder, role)?;
            let flag = format!("--{role}-password-file").into();
            args.extend([flag, file(&format!("{role}.password"))]);
        }
        args.extend(["--signing-key-file".into(), file(SIGNING_KEY)]);
        args.extend(["--admin-token-file".into(), file(ADMIN_TOKEN)]);
        let env = [
            ("HEADWATER_DATABASE_URL", ground.database.clone().into()),
            ("HEADWATER_NATS_URL", ground.nats.clone().into()),
        ];
        Ok(self.spec(folder, "install", args, &env, SERVE_GRACE))
    }

    /// `headwater serve`, with the roles that install made.
    pub(super) fn serve(&self, folder: &Folder, ground: &Backends, http: SocketAddr) -> Result<ChildSpec, LabError> {
        let url = |role: &str, password: String| {
            let port = ground.postgres;
            format!("postgres://headwater_{role}:{password}@127.0.0.1:{port}/{DATABASE}").into()
        };
        let app = url("app", password(folder, "app")?);
        let relay = url("relay", password(folder, "replication")?);
        let env: [(&str, OsString); 5] = [
            ("HEADWATER_HTTP", http.to_string().into()),
            ("HEADWATER_DATABASE_URL", app),
            ("HEADWATER_REPLICATION_URL", relay),
            ("HEADWATER_NATS_URL", ground.nats.clone().into()),
            ("HEADWATER_SIGNING_KEY_FILE", folder.secret_file(SIGNING_KEY).into()),
        ];
        Ok(self.spec(folder, "serve", vec!["serve".into()], &env, SERVE_GRACE))
    }

    /// `headwater-edge` of a node with its folder, which trusts one key from the first, and what else it is told: flags with
    /// or without a value.
    pub(super) fn edge(
        &self,
        folder: &Folder,
        ground: &Backends,
        trust: &str,
        (id, dir): (&str, &Path),
        told: &[(&str, Option<&str>)],
    ) -> ChildSpec {
        let (program, subcommand) = &self.agent;
        let mut args: Vec<OsString> = subcommand.iter().map(OsString::from).collect();
        args.extend(["--node", id, "--dir"].map(OsString::from));
        args.push(dir.into());
        for (flag, value) in told {
            args.extend([Some(*flag), *value].into_iter().flatten().map(OsString::from));
        }
        let env = [("HEADWATER_NATS_URL", ground.nats.clone().into()), ("HEADWATER_TRUST", trust.into())];
        ChildSpec { program: program.clone(), ..self.spec(folder, id, args, &env, EDGE_GRACE) }
    }

    fn spec(
        &self,
        folder: &Folder,
        name: &str,
        args: Vec<OsString>,
        env: &[(&str, OsString)],
        grace: Duration,
    ) -> ChildSpec {
        let owned = |(name, value): &(&str, OsString)| ((*name).into(), value.clone());
        ChildSpec {
            name: name.to_owned(),
            program: self.program.clone(),
            args,
            env: env.iter().map(owned).collect(),
            dir: self.dir.clone(),
            log: folder.logs().join(format!("{name}.log")),
            account: None,
            ask: StopSignal::Terminate,
            grace,
        }
    }
}

/// The password of a role.
fn password(folder: &Folder, role: &str) -> Result<String, LabError> {
    folder.secret(&format!("{role}.password"), private_file::password)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

    use super::*;

    #[test]
    fn no_secret_is_on_a_command_line() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let children = Children::new(None).unwrap();
        let ground = Backends {
            database: "postgres://postgres:s3cret@127.0.0.1:5/headwater".into(),
            postgres: 5,
            nats: "nats://headwater:s3cret@127.0.0.1:4".into(),
        };
        let told = [("--check", Some("true {}")), ("--runtime", None)];
        let http = SocketAddr::from(([127, 0, 0, 1], 8080));
        let specs = [
            children.install(&folder, &ground).unwrap(),
            children.serve(&folder, &ground, http).unwrap(),
            children.edge(&folder, &ground, "ab", ("node-1", dir.path()), &told),
        ];
        let app = password(&folder, "app").unwrap();
        for spec in specs {
            let line = format!("{:?}", spec.args);
            assert!(!line.contains("s3cret") && !line.contains(&app), "{line}");
            assert!(format!("{:?}", spec.env).contains("s3cret"), "it is told");
        }
    }
}
