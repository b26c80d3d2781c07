//! A private nats-server.
//!
//! Invariants: it listens on one port of the loopback interface, and lets nobody in without a password, which is on no command line, or a
//! key; JetStream keeps its files in the given folder. The settings that Headwater needs are in `docker/nats/`, which containers use too.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bus::bus_folder::{BUS_CONF, BusFolder};
use schema::address::Prefix;
use tls::authorities::Authorities;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::certificates::IssuedCertificate;
use super::child::{ChildSpec, StopSignal};
use super::running_server::{RunningServer, Server};
use super::server_programs::{self, NatsProgram};
use super::version::ProgramVersion;
use super::{Error, port, private_file};

/// The files of its certificate, below its folder; they are read again on SIGHUP.
pub const CERTIFICATE_FILE: &str = "server.crt";
/// The key of that certificate.
pub const KEY_FILE: &str = "server.key";
const CA_FILE: &str = "ca.crt";
/// The user of a server that everybody shares.
const USER: &str = "headwater";
/// Lets that user in.
const PASSWORD: &str = include_str!("../../docker/nats/password.conf");
/// The settings that Headwater needs of every nats-server.
const SHARED: &str = include_str!("../../docker/nats/headwater.conf");
/// The limits that the shared file includes.
const LIMITS: &str = include_str!("../../docker/nats/limits.conf");
/// The first version that reads those limits, and needs them.
const LIMITS_SINCE: ProgramVersion = ProgramVersion::new(2, 15);
/// On SIGTERM it disconnects its clients and writes its streams to disk.
const GRACE: Duration = Duration::from_secs(15);
/// How long one readiness check may take.
const GREET_WITHIN: Duration = Duration::from_secs(2);

/// How to configure the server.
#[derive(Clone, Debug)]
pub struct Options {
    /// The nats-server to run.
    pub program: NatsProgram,
    /// The folder for its files, created if missing.
    pub home: PathBuf,
    /// An existing folder for its log.
    pub logs: PathBuf,
    /// The port to use if it is free.
    pub port: Option<u16>,
    /// Who is let in.
    pub access: Access,
    /// The certificate, if it speaks TLS; and then it speaks nothing else.
    pub certificate: Option<NatsCertificate>,
}

/// A certificate for `127.0.0.1`, and the CA that signed it.
#[derive(Clone, Debug)]
pub struct NatsCertificate {
    /// The certificate.
    pub issued: IssuedCertificate,
    /// The CA's certificate, as PEM.
    pub authority: String,
}

/// Who a server lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody who knows one password.
    Password,
    /// The users of a folder `bus` beside its settings, and those whom the log lets in.
    Identities,
}

/// A configured server.
#[derive(Debug)]
pub struct NatsServer {
    spec: ChildSpec,
    port: u16,
    password: Option<String>,
    bus: BusFolder,
    ca_file: Option<PathBuf>,
}

impl NatsServer {
    /// Configures and starts a server below `dir` that everybody shares, for a test.
    pub async fn start(dir: &Path) -> Result<RunningServer<Self>, Error> {
        Self::start_with(dir, Access::Password, None).await
    }

    /// Configures and starts a server below `dir` that lets these in, with a certificate if one is given.
    pub async fn start_with(
        dir: &Path,
        access: Access,
        certificate: Option<NatsCertificate>,
    ) -> Result<RunningServer<Self>, Error> {
        let options = Options {
            program: server_programs::find_nats_server(None)?,
            home: dir.join("nats"),
            logs: dir.to_path_buf(),
            port: None,
            certificate,
            access,
        };
        RunningServer::start(Self::make(&options)?).await
    }

    /// Writes the configuration.
    pub fn make(options: &Options) -> Result<Self, Error> {
        let home = &options.home;
        private_file::folder(home, None)?;
        let bus = BusFolder::at(&home.join("bus"));
        let password = match options.access {
            Access::Password => {
                private_file::write(&home.join(BUS_CONF), PASSWORD.as_bytes())?;
                Some(private_file::secret(&home.join("password"), private_file::password)?)
            }
            Access::Identities => {
                bus.make(&Prefix::default()).map_err(|error| Error::Bus(Box::new(error)))?;
                let conf = bus.path(BUS_CONF);
                let conf = std::fs::read(&conf).map_err(|error| Error::file("read", &conf, error))?;
                private_file::write(&home.join(BUS_CONF), &conf)?;
                None
            }
        };
        let has_limits = options.program.version >= LIMITS_SINCE;
        let (settings, ca_file) = match &options.certificate {
            None => (SHARED.to_owned(), None),
            Some(certificate) => (format!("{SHARED}{}", certificate.install(home)?), Some(home.join(CA_FILE))),
        };
        private_file::write(&home.join("nats.conf"), settings.as_bytes())?;
        private_file::write(&home.join("limits.conf"), if has_limits { LIMITS } else { "" }.as_bytes())?;
        let port = port::free(options.port)?;
        // The server parses variables like its file: without quotes a password such as 1e5 would be a number.
        let quoted = |value: &str| format!("\"{value}\"").into();
        let store = home.join("jetstream");
        let spec = ChildSpec {
            name: "nats-server".to_owned(),
            program: options.program.path.clone(),
            args: vec!["-c".into(), home.join("nats.conf").into()],
            env: vec![
                ("HEADWATER_NATS_LISTEN".into(), quoted(&format!("127.0.0.1:{port}"))),
                ("HEADWATER_NATS_STORE".into(), quoted(&store.to_string_lossy())),
                ("HEADWATER_NATS_PASSWORD".into(), quoted(password.as_deref().unwrap_or_default())),
            ],
            dir: home.clone(),
            log: options.logs.join("nats-server.log"),
            account: None,
            ask: StopSignal::Terminate,
            grace: GRACE,
        };
        Ok(Self { spec, port, password, bus, ca_file })
    }

    /// With user and password, if it has them.
    pub fn url(&self) -> String {
        let scheme = if self.ca_file.is_some() { "tls" } else { "nats" };
        match &self.password {
            Some(password) => format!("{scheme}://{USER}:{password}@127.0.0.1:{}", self.port),
            None => format!("{scheme}://127.0.0.1:{}", self.port),
        }
    }

    /// The seeds of the users that it knows itself.
    pub fn bus(&self) -> &BusFolder {
        &self.bus
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The INFO line of a new connection. The server listens only after it has recovered its streams.
    async fn greeting(&self) -> std::io::Result<String> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let Some(ca_file) = &self.ca_file else { return first_line(stream).await };
        let config = Authorities::File(ca_file.clone()).client_config().map_err(std::io::Error::other)?;
        let address = ServerName::from(IpAddr::from(Ipv4Addr::LOCALHOST));
        first_line(TlsConnector::from(Arc::new(config)).connect(address, stream).await?).await
    }
}

async fn first_line(stream: impl AsyncRead + Unpin) -> std::io::Result<String> {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await?;
    Ok(line)
}

impl NatsCertificate {
    /// Writes the files, and gives the settings that name them.
    fn install(&self, home: &Path) -> Result<String, Error> {
        let [certificate, key] = [CERTIFICATE_FILE, KEY_FILE].map(|name| home.join(name));
        self.issued.write(&certificate, &key)?;
        private_file::write(&home.join(CA_FILE), self.authority.as_bytes())?;
        Ok(format!(
            "\ntls {{\n  cert_file: {certificate:?}\n  key_file: {key:?}\n  min_version: \"1.3\"\n  handshake_first: true\n  timeout: 3\n}}\n"
        ))
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
