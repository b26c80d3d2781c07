//! The processes of `headwater dev`, and the order in which they start and stop.
//!
//! PostgreSQL and NATS, then `install`, then the server, then the nodes; they stop in the reverse order, also after a start that
//! failed half-way.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use client::api_client::ApiClient;
use client::endpoint::{BearerToken, ServerUrl};
use client::join_token::NatsPlace;
use program::token;
use tls::authorities::Authorities;

use crate::child::ChildSpec;
use crate::folder::{Folder, Ports};
use crate::nats::{self, NatsServer};
use crate::postgres::{self, Cluster};
use crate::running_server::{self, Server};
use crate::supervisor::Supervised;
use crate::{Error as LabError, port, private_file, server_programs};

use super::api_requests;
use super::certificates::DevCertificates;
use super::children::{ADMIN_TOKEN, Backends, Children, DATABASE};
use super::error::Error;
use super::json::{DevJson, DevNode, Tokens};
use super::options::Options;

/// How long `headwater install` and `headwater edge join` may take.
const ENDED_WITHIN: Duration = Duration::from_secs(120);

/// The processes that were started so far.
#[derive(Debug)]
pub(super) struct DevStack {
    options: Options,
    children: Children,
    folder: Folder,
    postgres: Option<Supervised>,
    nats: Option<Supervised>,
    serve: Option<Supervised>,
    agents: Vec<Supervised>,
}

/// The readiness check of `headwater serve`.
struct Serve {
    spec: ChildSpec,
    client: ApiClient,
}

impl Server for Serve {
    fn spec(&self) -> &ChildSpec {
        &self.spec
    }

    async fn answers(&self) -> bool {
        self.client.is_ready().await
    }

    fn may_start_later(&self, _log: &str) -> bool {
        true
    }
}

impl DevStack {
    /// Opens the folder; nothing runs yet.
    pub(super) fn new(options: Options) -> Result<Self, Error> {
        if let Some(http) = options.http.filter(|_| !options.tls) {
            options.plain.allow(http.ip().is_loopback(), "--http", http.to_string(), "say --tls")?;
        }
        let children = Children::new(options.program.as_deref()).map_err(Error::NoProgram)?;
        let folder = Folder::open(&options.dir)?;
        // A script that waits for the new file must not find the old one.
        private_file::remove(&folder.path().join("dev.json"))?;
        Ok(Self { options, children, folder, postgres: None, nats: None, serve: None, agents: Vec::new() })
    }

    pub(super) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Starts everything in order, and writes `dev.json`.
    pub(super) async fn start(&mut self) -> Result<DevJson, Error> {
        let (backends, data) = self.start_backends().await?;
        let admin = self.install(&backends).await?;
        let client = self.start_server(&backends, admin.parse()?).await?;
        let new_token = || token::generate().map_err(|_| LabError::NoRandomness);
        let auditor = self.folder.secret("auditor.token", new_token)?;
        api_requests::let_in_auditor(&client, &auditor, &auditor.parse()?).await?;
        let nodes = self.start_nodes(&backends, &client).await?;
        let json = DevJson {
            http: client.url().to_string(),
            nats_creds: backends.relay_seed(),
            nats: backends.nats,
            database: backends.database,
            ca_file: backends.certificates.map(|certificates| certificates.ca_file),
            tokens: Tokens { admin, auditor },
            nodes,
            data,
        };
        let text = json.to_text();
        private_file::write(&self.folder.path().join("dev.json"), text.as_bytes())?;
        Ok(json)
    }

    /// Stops all processes that were started, in order.
    pub(super) async fn stop(&mut self) {
        futures::future::join_all(self.agents.drain(..).map(Supervised::stop)).await;
        for server in [&mut self.serve, &mut self.nats, &mut self.postgres] {
            if let Some(server) = server.take() {
                server.stop().await;
            }
        }
    }

    /// Starts PostgreSQL and NATS; gives also PostgreSQL's folder, if it is not in ours.
    async fn start_backends(&mut self) -> Result<(Backends, Option<PathBuf>), Error> {
        let ports = self.folder.ports();
        let http = self.options.http;
        let certificates = self.options.tls.then(|| DevCertificates::create(&self.folder, http)).transpose()?;
        let cluster = self.make_cluster(ports.postgres, certificates.as_ref()).await?;
        let nats = self.make_nats(ports.nats, certificates.as_ref())?;
        self.folder.store_ports(Ports { postgres: Some(cluster.port()), nats: Some(nats.port()), ..ports })?;
        let postgres = self.postgres.insert(supervise(&self.folder, cluster.spec())?);
        let nats_server = self.nats.insert(supervise(&self.folder, nats.spec())?);
        running_server::ready(&cluster, postgres).await?;
        running_server::ready(&nats, nats_server).await?;
        let home = cluster.home();
        let data = (!home.starts_with(self.folder.path())).then(|| home.to_path_buf());
        let backends = Backends {
            database: cluster.create_database(DATABASE).await?,
            postgres: cluster.port(),
            nats: nats.url(),
            certificates,
            bus: nats.bus().path(""),
        };
        Ok((backends, data))
    }

    async fn make_cluster(
        &self,
        port: Option<u16>,
        certificates: Option<&DevCertificates>,
    ) -> Result<Cluster, LabError> {
        let programs = server_programs::find_postgres(self.options.programs.postgres_bin.as_deref())?;
        tracing::info!(version = %programs.version, bin = %programs.bin.display(), "starting PostgreSQL");
        let options = postgres::Options {
            programs,
            home: self.folder.path().join("postgres"),
            logs: self.folder.logs(),
            port,
            settings: Vec::new(),
            certificate: certificates.map(|certificates| certificates.postgres.clone()),
        };
        Cluster::make(&options).await
    }

    fn make_nats(&self, port: Option<u16>, certificates: Option<&DevCertificates>) -> Result<NatsServer, LabError> {
        let program = server_programs::find_nats_server(self.options.programs.nats_server.as_deref())?;
        tracing::info!(version = %program.version, program = %program.path.display(), "starting nats-server");
        NatsServer::make(&nats::Options {
            program,
            home: self.folder.path().join("nats"),
            logs: self.folder.logs(),
            port,
            certificate: certificates.map(|certificates| certificates.nats.clone()),
            access: nats::Access::Identities,
        })
    }

    /// Runs `headwater install`, and gives the token of the first administrator.
    async fn install(&self, backends: &Backends) -> Result<String, Error> {
        let spec = self.children.install(&self.folder, backends)?;
        tracing::info!("running headwater install");
        run_to_end("headwater install", &spec).await?;
        let token = self.folder.read_secret(ADMIN_TOKEN)?;
        token.ok_or(Error::NoAdmin)
    }

    /// Starts `headwater serve`, and gives a client for it once it is ready.
    async fn start_server(&mut self, backends: &Backends, admin: BearerToken) -> Result<ApiClient, Error> {
        let address = self.http_address()?;
        self.folder.store_ports(Ports { http: Some(address.port()), ..self.folder.ports() })?;
        let spec = self.children.serve(&self.folder, backends, address, self.options.plain)?;
        let (scheme, authorities) = match &backends.certificates {
            Some(certificates) => ("https", Authorities::File(certificates.ca_file.clone())),
            None => ("http", Authorities::Nobody),
        };
        let url: ServerUrl = format!("{scheme}://{}", reachable(address)).parse()?;
        let client = ApiClient::trusting(&authorities, url, admin)?;
        tracing::info!(http = %client.url(), "starting headwater serve");
        let serve = self.serve.insert(supervise(&self.folder, &spec)?);
        running_server::ready(&Serve { spec, client: client.clone() }, serve).await?;
        Ok(client)
    }

    async fn start_nodes(&mut self, backends: &Backends, client: &ApiClient) -> Result<Vec<DevNode>, Error> {
        let mut nodes = Vec::new();
        let key = api_requests::signing_key(client).await?;
        let hooks = [("--check", self.options.check.as_deref()), ("--apply", self.options.apply.as_deref())];
        let hooks = hooks.map(|(flag, command)| command.map(|command| (flag, Some(command))));
        let hooks: Vec<(&str, Option<&str>)> = hooks.into_iter().flatten().collect();
        let jobs_max = self.options.jobs_max.to_string();
        for number in 1..=self.options.nodes {
            let id = format!("node-{number}");
            let dir = self.folder.path().join("nodes").join(&id);
            private_file::folder(&dir, None)?;
            self.join(backends, client, number, (&id, &dir)).await?;
            let mut flags = hooks.clone();
            if let Some(command) = self.options.job_cmd.as_deref().filter(|_| number <= self.options.runtimes) {
                flags.extend([("--runtime", None), ("--job-cmd", Some(command)), ("--jobs-max", Some(&jobs_max))]);
            }
            let spec = self.children.agent(&self.folder, backends, &key, (&id, &dir), &flags);
            self.agents.push(supervise(&self.folder, &spec)?);
            nodes.push(DevNode { id, dir });
        }
        tracing::info!(nodes = nodes.len(), "agents started");
        Ok(nodes)
    }

    /// Lets a node join with a token that is made for it, unless it has joined before.
    async fn join(
        &self,
        backends: &Backends,
        client: &ApiClient,
        number: u16,
        (id, dir): (&str, &Path),
    ) -> Result<(), Error> {
        let ca_file = backends.certificates.as_ref().map(|certificates| &certificates.ca_file);
        let read = |file: &PathBuf| std::fs::read_to_string(file).map_err(|error| LabError::file("read", file, error));
        let ca = ca_file.map(read).transpose()?;
        let nats = NatsPlace { url: backends.nats.clone(), prefix: "cfg".to_owned(), ca };
        let Some(line) = api_requests::join_token(client, &nats, number, id, dir).await? else { return Ok(()) };
        let token = self.folder.secret_file(&format!("{id}.join"));
        private_file::write(&token, line.as_bytes())?;
        let joined = run_to_end("headwater edge join", &self.children.join(&self.folder, &token, (id, dir))).await;
        private_file::remove(&token)?;
        Ok(joined?)
    }

    /// The address asked for, or a free port of the loopback interface.
    fn http_address(&self) -> Result<SocketAddr, LabError> {
        let mut address = self.options.http.unwrap_or((Ipv4Addr::LOCALHOST, 0).into());
        if address.port() == 0 {
            address.set_port(port::free(self.folder.ports().http)?);
        }
        Ok(address)
    }
}

/// Runs a program that ends by itself.
async fn run_to_end(name: &str, spec: &ChildSpec) -> Result<(), LabError> {
    let mut child = spec.spawn()?;
    let status = match tokio::time::timeout(ENDED_WITHIN, child.exited()).await {
        Ok(status) => status?,
        Err(_) => child.stop().await?,
    };
    match status.success() {
        true => Ok(()),
        false => Err(LabError::Ended { name: name.to_owned(), status, log: spec.log_tail() }),
    }
}

fn supervise(folder: &Folder, spec: &ChildSpec) -> Result<Supervised, LabError> {
    Supervised::start(spec.clone(), folder.run())
}

/// The address for a client: a server on 0.0.0.0 listens on 127.0.0.1 too.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    address
}
