//! How the processes of Headwater itself are started: install, serve and the agents.
//!
//! Invariants: a child gets a secret in a file or in its environment, never on its command line, which every user of the machine
//! can read; each child gets only the settings that it needs.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bus::bus_folder::CentreUser;
use tls::plain::PlainOption;
use tls::server_certificate::CertificateFiles;

use super::certificates::DevCertificates;
use crate::child::{ChildSpec, StopSignal};
use crate::folder::Folder;
use crate::{Error as LabError, private_file};

/// Name of the database.
pub(super) const DATABASE: &str = "headwater";
/// File with the token of the first administrator.
pub(super) const ADMIN_TOKEN: &str = "admin.token";
/// File with the key that signs records.
const SIGNING_KEY: &str = "signing.key";
/// How long the server may take to answer open requests before it is killed.
const SERVE_GRACE: Duration = Duration::from_secs(20);
/// How long an agent may take to finish writing before it is killed.
const AGENT_GRACE: Duration = Duration::from_secs(10);

/// The programs, and the working folder of children.
#[derive(Debug)]
pub(super) struct Children {
    program: PathBuf,
    /// `headwater-edge`; or `headwater` and its subcommand `edge`, where that program is not installed.
    agent: (PathBuf, Option<&'static str>),
    /// Our working folder, so that a relative path in a hook means the same as on our command line.
    dir: PathBuf,
}

/// Addresses of PostgreSQL and NATS.
#[derive(Clone, Debug)]
pub(super) struct Backends {
    /// URL of the database, as the superuser.
    pub(super) database: String,
    /// Port of PostgreSQL.
    pub(super) postgres: u16,
    /// URL of NATS, without credentials.
    pub(super) nats: String,
    /// The folder with the seeds of those who are known to NATS itself.
    pub(super) bus: PathBuf,
    /// With `--tls`: the certificates of all servers.
    pub(super) certificates: Option<DevCertificates>,
}

impl Backends {
    /// The variables with which a child verifies PostgreSQL and NATS.
    fn ca_variables(&self) -> Vec<(&'static str, OsString)> {
        let ca_file = self.certificates.iter().map(|certificates| &certificates.ca_file);
        let names = ["HEADWATER_DATABASE_CA_FILE", "HEADWATER_NATS_CA_FILE"];
        ca_file.flat_map(|file| names.map(|name| (name, file.into()))).collect()
    }

    /// The file with the seed of the relay's user.
    pub(super) fn relay_seed(&self) -> PathBuf {
        self.bus.join(CentreUser::Relay.file())
    }
}

impl Children {
    /// `program` is the `headwater` to start; none for this program. `headwater-edge` is looked for beside it.
    pub(super) fn new(program: Option<&Path>) -> std::io::Result<Self> {
        let program = program.map_or_else(std::env::current_exe, std::path::absolute)?;
        let dir = std::env::current_dir()?;
        let alone = program.with_file_name("headwater-edge");
        let agent = if alone.is_file() { (alone, None) } else { (program.clone(), Some("edge")) };
        Ok(Self { program, agent, dir })
    }

    /// `headwater install`, as the superuser.
    pub(super) fn install(&self, folder: &Folder, backends: &Backends) -> Result<ChildSpec, LabError> {
        let file = |name: &str| OsString::from(folder.secret_file(name));
        let mut args: Vec<OsString> = vec!["install".into(), "--json".into()];
        for role in ["app", "replication", "reader"] {
            password(folder, role)?;
            let flag = format!("--{role}-password-file").into();
            args.extend([flag, file(&format!("{role}.password"))]);
        }
        args.extend(["--signing-key-file".into(), file(SIGNING_KEY)]);
        args.extend(["--admin-token-file".into(), file(ADMIN_TOKEN)]);
        let mut env = backends.ca_variables();
        env.extend([
            ("HEADWATER_DATABASE_URL", backends.database.clone().into()),
            ("HEADWATER_NATS_URL", backends.nats.clone().into()),
            ("HEADWATER_NATS_NKEY_FILE", backends.relay_seed().into()),
        ]);
        Ok(self.spec(folder, "install", args, &env, SERVE_GRACE))
    }

    /// `headwater serve`, with the roles that `install` created.
    pub(super) fn serve(
        &self,
        folder: &Folder,
        backends: &Backends,
        http: SocketAddr,
        plain: PlainOption,
    ) -> Result<ChildSpec, LabError> {
        let url = |role: &str, password: String| {
            let port = backends.postgres;
            format!("postgres://headwater_{role}:{password}@127.0.0.1:{port}/{DATABASE}").into()
        };
        let app = url("app", password(folder, "app")?);
        let relay = url("relay", password(folder, "replication")?);
        let mut env = backends.ca_variables();
        if let Some(certificates) = &backends.certificates {
            let CertificateFiles { certificate, key } = &certificates.http;
            env.extend([("HEADWATER_HTTP_CERT_FILE", certificate.into()), ("HEADWATER_HTTP_KEY_FILE", key.into())]);
        }
        env.extend([
            ("HEADWATER_PLAIN", plain.plain.to_string().into()),
            ("HEADWATER_HTTP", http.to_string().into()),
            ("HEADWATER_DATABASE_URL", app),
            ("HEADWATER_REPLICATION_URL", relay),
            ("HEADWATER_NATS_URL", backends.nats.clone().into()),
            ("HEADWATER_NATS_NKEY_FILE", backends.relay_seed().into()),
            ("HEADWATER_BUS_DIR", backends.bus.clone().into()),
            ("HEADWATER_SIGNING_KEY_FILE", folder.secret_file(SIGNING_KEY).into()),
        ]);
        Ok(self.spec(folder, "serve", vec!["serve".into()], &env, SERVE_GRACE))
    }

    /// The agent of a node with its folder, which trusts the key `trust`; `flags` are further flags with or without a value.
    pub(super) fn agent(
        &self,
        folder: &Folder,
        backends: &Backends,
        trust: &str,
        (id, dir): (&str, &Path),
        flags: &[(&str, Option<&str>)],
    ) -> ChildSpec {
        let (program, subcommand) = &self.agent;
        let mut args: Vec<OsString> = subcommand.iter().map(OsString::from).collect();
        args.extend(["--node", id, "--dir"].map(OsString::from));
        args.push(dir.into());
        for (flag, value) in flags {
            args.extend([Some(*flag), *value].into_iter().flatten().map(OsString::from));
        }
        let mut env = backends.ca_variables();
        env.retain(|(name, _)| *name == "HEADWATER_NATS_CA_FILE");
        env.extend([("HEADWATER_NATS_URL", backends.nats.clone().into()), ("HEADWATER_TRUST", trust.into())]);
        ChildSpec { program: program.clone(), ..self.spec(folder, id, args, &env, AGENT_GRACE) }
    }

    /// `headwater edge join` for a node with its folder; the token is in a file.
    pub(super) fn join(&self, folder: &Folder, token: &Path, (id, dir): (&str, &Path)) -> ChildSpec {
        let (program, subcommand) = &self.agent;
        let mut args: Vec<OsString> = subcommand.iter().map(OsString::from).collect();
        args.extend(["join", "--node", id, "--dir"].map(OsString::from));
        args.extend([dir.into(), "--token-file".into(), token.into()]);
        ChildSpec { program: program.clone(), ..self.spec(folder, id, args, &[], AGENT_GRACE) }
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

/// Reads or creates the password of a role.
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
        let backends = Backends {
            database: "postgres://postgres:s3cret@127.0.0.1:5/headwater".into(),
            postgres: 5,
            nats: "nats://127.0.0.1:4".into(),
            certificates: None,
            bus: "bus".into(),
        };
        let flags = [("--check", Some("true {}")), ("--runtime", None)];
        let http = SocketAddr::from(([127, 0, 0, 1], 8080));
        let specs = [
            children.install(&folder, &backends).unwrap(),
            children.serve(&folder, &backends, http, PlainOption::default()).unwrap(),
        ];
        let agent = children.agent(&folder, &backends, "ab", ("node-1", dir.path()), &flags);
        assert!(!format!("{:?} {:?}", agent.args, agent.env).contains("s3cret"), "it needs none");
        let app = password(&folder, "app").unwrap();
        for spec in specs {
            let line = format!("{:?}", spec.args);
            assert!(!line.contains("s3cret") && !line.contains(&app), "{line}");
            assert!(format!("{:?}", spec.env).contains("s3cret") || line.contains("serve"), "it gets the secret");
        }
    }

    #[test]
    fn the_agent_is_headwater_edge_where_it_is_installed_and_else_a_subcommand() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(&dir.path().join("dev")).unwrap();
        let at = |name: &str| dir.path().join(name);
        let backends = Backends {
            database: String::new(),
            postgres: 5,
            nats: String::new(),
            certificates: None,
            bus: PathBuf::new(),
        };
        let agent = || {
            let children = Children::new(Some(&at("headwater"))).unwrap();
            let spec = children.agent(&folder, &backends, "ab", ("node-1", dir.path()), &[]);
            (spec.program, spec.args[0].clone())
        };
        assert_eq!(agent(), (at("headwater"), "edge".into()));
        std::fs::write(at("headwater-edge"), "").unwrap();
        assert_eq!(agent(), (at("headwater-edge"), "--node".into()));
    }
}
