//! A nats-server of our own.
//!
//! Always: it listens on one port of the loopback interface and asks for a password, which is on no command line;
//! JetStream keeps its files in the folder given. What Headwater needs of it is in `docker/nats/`, which containers
//! use too. Absent on purpose: anything of NATS' protocol beyond the greeting that says it is up.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;

use super::child::{ChildSpec, StopSignal};
use super::running_server::{RunningServer, Server};
use super::server_programs::{self, NatsProgram};
use super::version::ProgramVersion;
use super::{Error, port, private_file};

/// The only account of the server.
const USER: &str = "headwater";
/// What Headwater needs of nats-server wherever it runs.
const SHARED: &str = include_str!("../../docker/nats/headwater.conf");
/// The limits that the shared file includes.
const LIMITS: &str = include_str!("../../docker/nats/limits.conf");
/// The first version that reads those limits, and needs them.
const LIMITS_SINCE: ProgramVersion = ProgramVersion::new(2, 15);
/// It hands its clients over and writes its streams out.
const GRACE: Duration = Duration::from_secs(15);
/// How long one attempt to be greeted may take.
const GREET_WITHIN: Duration = Duration::from_secs(2);

/// What a server is made of.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program to run.
    pub program: NatsProgram,
    /// The folder it is to live in, made if missing.
    pub home: PathBuf,
    /// The folder for its log, which is there.
    pub logs: PathBuf,
    /// The port to take if it is free.
    pub port: Option<u16>,
}

/// A server whose files are in place.
#[derive(Debug)]
pub struct NatsServer {
    spec: ChildSpec,
    port: u16,
    password: String,
}

impl NatsServer {
    /// A server for a test: made below `dir` and started.
    pub async fn start(dir: &Path) -> Result<RunningServer<Self>, Error> {
        let options = Options {
            program: server_programs::find_nats_server(None)?,
            home: dir.join("nats"),
            logs: dir.to_path_buf(),
            port: None,
        };
        RunningServer::start(Self::make(&options)?).await
    }

    /// Puts the files in place.
    pub fn make(options: &Options) -> Result<Self, Error> {
        let home = &options.home;
        private_file::folder(home, None)?;
        let password = private_file::secret(&home.join("password"), private_file::password)?;
        let has_limits = options.program.version >= LIMITS_SINCE;
        private_file::write(&home.join("nats.conf"), SHARED.as_bytes())?;
        private_file::write(&home.join("limits.conf"), if has_limits { LIMITS } else { "" }.as_bytes())?;
        let port = port::free(options.port)?;
        // The server reads a variable as it reads its file: without quotes a password such as 1e5 is a number.
        let quoted = |value: &str| format!("\"{value}\"").into();
        let store = home.join("jetstream");
        let spec = ChildSpec {
            name: "nats-server".to_owned(),
            program: options.program.path.clone(),
            args: vec!["-c".into(), home.join("nats.conf").into()],
            env: vec![
                ("HEADWATER_NATS_LISTEN".into(), quoted(&format!("127.0.0.1:{port}"))),
                ("HEADWATER_NATS_STORE".into(), quoted(&store.to_string_lossy())),
                ("HEADWATER_NATS_PASSWORD".into(), quoted(&password)),
            ],
            dir: home.clone(),
            log: options.logs.join("nats-server.log"),
            account: None,
            ask: StopSignal::Terminate,
            grace: GRACE,
        };
        Ok(Self { spec, port, password })
    }

    /// The URL with its credentials.
    pub fn url(&self) -> String {
        format!("nats://{USER}:{}@127.0.0.1:{}", self.password, self.port)
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The first line it says to whoever connects. It listens only once its streams are recovered.
    async fn greeting(&self) -> std::io::Result<String> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).await?;
        Ok(line)
    }
}

impl Server for NatsServer {
    fn spec(&self) -> &ChildSpec {
        &self.spec
    }

    async fn answers(&self) -> bool {
        let greeting = tokio::time::timeout(GREET_WITHIN, self.greeting()).await;
        matches!(greeting, Ok(Ok(line)) if line.starts_with("INFO ") && line.contains(r#""jetstream":true"#))
    }

    fn may_start_later(&self, _log: &str) -> bool {
        false
    }
}
