//! A private PostgreSQL cluster.
//!
//! Invariants: it listens on one port of the loopback interface and on no Unix socket; every connection needs a password; its
//! folder has mode 0700; other clusters of the machine are not touched. The settings that Headwater needs are in
//! `docker/postgres/headwater.conf`, which containers use too.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_postgres::NoTls;

use super::certificates::IssuedCertificate;
use super::child::{ChildSpec, StopSignal};
use super::identity::Identity;
use super::running_server::{RunningServer, Server};
use super::server_programs::{self, PostgresPrograms};
use super::unprivileged_user::UnprivilegedUser;
use super::{Error, data_dir, port, private_file};

/// The role that owns the cluster.
const SUPERUSER: &str = "postgres";
/// The settings that Headwater needs of every PostgreSQL.
const SHARED: &str = include_str!("../../docker/postgres/headwater.conf");
/// A fast shutdown writes a checkpoint.
const GRACE: Duration = Duration::from_secs(30);
/// The folder of a test's cluster, below the test's folder.
const HOME: &str = "postgres";
/// Prefix of the name of a data folder that initdb has not finished.
const UNFINISHED: &str = "data.new";
/// How long one readiness check may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// How to configure the cluster.
#[derive(Clone, Debug)]
pub struct Options {
    /// The PostgreSQL to run.
    pub programs: PostgresPrograms,
    /// The folder for its files, created if missing; see [`Cluster::home`].
    pub home: PathBuf,
    /// An existing folder for its log.
    pub logs: PathBuf,
    /// The port to use if it is free.
    pub port: Option<u16>,
    /// Settings that override the shared ones.
    pub settings: Vec<(String, String)>,
    /// The certificate, if it speaks TLS. Sessions without it are still taken: the server listens on this machine only.
    pub certificate: Option<IssuedCertificate>,
}

impl Options {
    fn of_a_test(
        dir: &Path,
        settings: &[(&str, &str)],
        certificate: Option<&IssuedCertificate>,
    ) -> Result<Self, Error> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Ok(Self {
            programs: server_programs::find_postgres(None)?,
            home: dir.join(HOME),
            logs: dir.to_path_buf(),
            port: None,
            settings: settings.iter().map(owned).collect(),
            certificate: certificate.cloned(),
        })
    }
}

/// A configured cluster.
#[derive(Debug)]
pub struct Cluster {
    spec: ChildSpec,
    home: PathBuf,
    port: u16,
    password: String,
    temporary: bool,
}

impl Cluster {
    /// Creates and starts a cluster below `dir` for a test; it is removed on drop.
    pub async fn start(dir: &Path, settings: &[(&str, &str)]) -> Result<RunningServer<Self>, Error> {
        Self::start_test(&Options::of_a_test(dir, settings, None)?).await
    }

    async fn start_test(options: &Options) -> Result<RunningServer<Self>, Error> {
        let mut cluster = Self::make(options).await?;
        cluster.temporary = true;
        RunningServer::start(cluster).await
    }

    /// As [`Cluster::start`], with a copy of the folder of a cluster that [`Cluster::make`] made and that was never started: most
    /// of the time of a new one is spent in `initdb`. A certificate makes it speak TLS.
    pub async fn start_copy(
        home: &Path,
        dir: &Path,
        settings: &[(&str, &str)],
        certificate: Option<&IssuedCertificate>,
    ) -> Result<RunningServer<Self>, Error> {
        copy(home, &data_dir::make(&dir.join(HOME), UnprivilegedUser::for_postgres()?)?).await?;
        Self::start_test(&Options::of_a_test(dir, settings, certificate)?).await
    }

    /// Runs initdb the first time, and writes the settings each time.
    pub async fn make(options: &Options) -> Result<Self, Error> {
        let account = UnprivilegedUser::for_postgres()?;
        let home = data_dir::make(&options.home, account)?;
        let password = own_secret(&home.join("superuser.password"), account)?;
        let builder = ClusterBuilder { options, account, home: &home };
        builder.init().await?;
        let port = port::free(options.port)?;
        builder.configure(port)?;
        take_over_lock_file(&home.join("data"), &options.programs)?;
        let spec = builder.server();
        let temporary = false;
        Ok(Self { spec, home, port, password, temporary })
    }

    /// The URL of a database, as the superuser.
    pub fn url(&self, database: &str) -> String {
        let (password, port) = (&self.password, self.port);
        format!("postgres://{SUPERUSER}:{password}@127.0.0.1:{port}/{database}")
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder asked for, or one in /var/tmp if the account that PostgreSQL must run as can't enter that.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Creates a database unless it exists, and gives its URL as the superuser.
    pub async fn create_database(&self, name: &str) -> Result<String, Error> {
        let (client, connection) = tokio_postgres::connect(&self.url("postgres"), NoTls).await?;
        let connection = tokio::spawn(connection);
        let look = "select from pg_database where datname = $1";
        if client.query_opt(look, &[&name]).await?.is_none() {
            let quoted = name.replace('"', "\"\"");
            client.batch_execute(&format!("create database \"{quoted}\"")).await?;
        }
        drop(client);
        let _closed = connection.await;
        Ok(self.url(name))
    }

    async fn ask(&self) -> Result<(), tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::connect(&self.url("postgres"), NoTls).await?;
        let connection = tokio::spawn(connection);
        let answer = client.simple_query("select 1").await.map(drop);
        drop(client);
        let _closed = connection.await;
        answer
    }
}

impl Server for Cluster {
    fn spec(&self) -> &ChildSpec {
        &self.spec
    }

    async fn answers(&self) -> bool {
        let asked = tokio::time::timeout(CONNECT_WITHIN, self.ask()).await;
        matches!(asked, Ok(Ok(())))
    }

    /// After a SIGKILL of the postmaster its children take a moment to end.
    fn may_start_later(&self, log: &str) -> bool {
        log.contains("pre-existing shared memory block")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.temporary {
            let _best_effort = fs::remove_dir_all(&self.home);
        }
    }
}

struct ClusterBuilder<'a> {
    options: &'a Options,
    account: Option<UnprivilegedUser>,
    home: &'a Path,
}

impl ClusterBuilder<'_> {
    /// Runs initdb unless the data folder exists. It works in a folder beside and renames it, so that an interrupted initdb
    /// leaves no incomplete cluster; with a new name each time, since an initdb whose parent was killed takes a moment to end,
    /// and then removes its folder.
    async fn init(&self) -> Result<(), Error> {
        let data = self.home.join("data");
        if data.exists() {
            return Ok(());
        }
        for leftover in self.unfinished()? {
            private_file::remove_folder(&leftover)?;
        }
        let beside = self.home.join(format!("{UNFINISHED}{}", hex::encode(private_file::random::<4>()?)));
        let mut child = self.initdb(&beside).spawn()?;
        let status = child.exited().await?;
        if !status.success() {
            let (name, log) = (child.spec().name.clone(), child.spec().log_tail());
            return Err(Error::Ended { name, status, log });
        }
        fs::rename(&beside, &data).map_err(|error| Error::file("move", &beside, error))
    }

    /// Folders of interrupted runs of initdb.
    fn unfinished(&self) -> Result<Vec<PathBuf>, Error> {
        let entries = fs::read_dir(self.home).map_err(|error| Error::file("read", self.home, error))?;
        let unfinished = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(UNFINISHED));
        Ok(unfinished.map(|entry| entry.path()).collect())
    }

    fn initdb(&self, data: &Path) -> ChildSpec {
        let mut pwfile = OsString::from("--pwfile=");
        pwfile.push(self.home.join("superuser.password"));
        // The order of bytes never changes; that of a language may with the next version of its library.
        let mut args: Vec<OsString> = [
            "--encoding=UTF8",
            "--locale=C",
            "--auth=scram-sha-256",
            "--data-checksums",
            "--no-instructions",
            "--username=postgres",
        ]
        .map(OsString::from)
        .into();
        args.extend([pwfile, "-D".into(), data.into()]);
        self.spec("initdb", args)
    }

    fn server(&self) -> ChildSpec {
        self.spec("postgres", vec!["-D".into(), self.home.join("data").into()])
    }

    fn spec(&self, program: &str, args: Vec<OsString>) -> ChildSpec {
        ChildSpec {
            name: program.to_owned(),
            program: self.options.programs.bin.join(program),
            args,
            // `may_start_later` reads the log, so it must be in English.
            env: vec![("LC_ALL".into(), "C".into())],
            dir: self.home.to_path_buf(),
            log: self.options.logs.join(format!("{program}.log")),
            account: self.account,
            ask: StopSignal::Interrupt,
            grace: GRACE,
        }
    }

    /// Replaces `postgresql.conf`, so that nothing of initdb's guesses about this machine stays.
    fn configure(&self, port: u16) -> Result<(), Error> {
        let mut text = String::from("# Written at each start; a change made here is lost.\n\n");
        text.push_str(SHARED);
        text.push_str("\n# This machine.\n");
        let mut set = |name: &str, value: &str| {
            let value = value.replace('\'', "''");
            writeln!(text, "{name} = '{value}'").expect("BUG: a String takes any text");
        };
        set("listen_addresses", "127.0.0.1");
        set("port", &port.to_string());
        set("unix_socket_directories", "");
        set("lc_messages", "C");
        if let Some(certificate) = &self.options.certificate {
            let [shown, key] = ["server.crt", "server.key"].map(|name| self.home.join(name));
            certificate.write(&shown, &key)?;
            [&shown, &key].into_iter().try_for_each(|path| self.own(path))?;
            set("ssl", "on");
            set("ssl_cert_file", &shown.to_string_lossy());
            set("ssl_key_file", &key.to_string_lossy());
        }
        for (name, value) in &self.options.settings {
            set(name, value);
        }
        let path = self.home.join("data/postgresql.conf");
        private_file::write(&path, text.as_bytes())?;
        self.own(&path)
    }

    /// PostgreSQL's account reads the file.
    fn own(&self, path: &Path) -> Result<(), Error> {
        self.account.map_or(Ok(()), |account| account.own(path))
    }
}

/// Copies a folder with owners and modes; `to` may exist.
pub async fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    let failed = |error| Error::file("copy", from, error);
    let copied = tokio::process::Command::new("cp").args(["-a", "-T"]).arg(from).arg(to).output().await;
    let copied = copied.map_err(failed)?;
    let said = String::from_utf8_lossy(&copied.stderr).into_owned();
    if copied.status.success() { Ok(()) } else { Err(failed(std::io::Error::other(said))) }
}

fn own_secret(path: &Path, account: Option<UnprivilegedUser>) -> Result<String, Error> {
    let secret = private_file::secret(path, private_file::password)?;
    if let Some(account) = account {
        account.own(path)?;
    }
    Ok(secret)
}

/// Makes the server ignore the pid in a lock file that a killed server left behind.
///
/// PostgreSQL refuses to start while a process with that pid exists, even a zombie or an unrelated process that reused it; only
/// its own parent never counts. So our pid is written there. The file itself stays, because its other lines name the shared
/// memory that processes of the old server must have left.
fn take_over_lock_file(data: &Path, programs: &PostgresPrograms) -> Result<(), Error> {
    let path = data.join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&path) else {
        return Ok(());
    };
    let Some((pid, rest)) = text.split_once('\n') else {
        return Ok(());
    };
    let server = pid.trim().parse().ok().and_then(Identity::of);
    if server.is_some_and(|server| server.runs(&programs.bin.join("postgres"))) {
        return Ok(());
    }
    let taken_over = format!("{}\n{rest}", std::process::id());
    fs::write(&path, taken_over).map_err(|error| Error::file("write", &path, error))
}
