//! What `headwater dev` starts: the order in which it rises, and that in which it is stopped.
//!
//! PostgreSQL and NATS, then what is installed in them, then the server, then the nodes; and back again.
//! Always: what was started is stopped in order, also when what should have come after it failed.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::machine::child::{Ask, Spec};
use crate::machine::folder::{Folder, Ports};
use crate::machine::nats::{self, NatsServer};
use crate::machine::postgres::{self, Cluster};
use crate::machine::running::{self, Server};
use crate::machine::supervise::Supervised;
use crate::machine::{Error as Machine, find, port, private};

use super::door::{self, Door};
use super::json::{DevJson, Node, Tokens};
use super::{Error, Options};

/// The database's name.
const DATABASE: &str = "headwater";
/// How long it may take to install everything.
const INSTALL_WITHIN: Duration = Duration::from_secs(120);
/// How long the server may take over answering what it was asked before it ends.
const SERVE_GRACE: Duration = Duration::from_secs(20);
/// How long a node may take to finish what it is writing.
const EDGE_GRACE: Duration = Duration::from_secs(10);

/// Everything that is running, or was started before something failed.
#[derive(Debug)]
pub(super) struct Stack {
    options: Options,
    program: PathBuf,
    folder: Folder,
    postgres: Option<Supervised>,
    nats: Option<Supervised>,
    serve: Option<Supervised>,
    edges: Vec<Supervised>,
}

/// The two servers, ready.
struct Ground {
    cluster: Cluster,
    nats: NatsServer,
    database: String,
}

/// The server as `running::ready` asks for it.
struct Serve {
    spec: Spec,
    door: Door,
}

impl Server for Serve {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    async fn answers(&self) -> bool {
        self.door.is_ready().await
    }

    fn may_start_later(&self, _log: &str) -> bool {
        true
    }
}

impl Stack {
    /// Takes the folder; nothing runs yet.
    pub(super) fn new(options: Options) -> Result<Self, Error> {
        let program = match &options.program {
            Some(program) => program.clone(),
            None => std::env::current_exe().map_err(Error::NoProgram)?,
        };
        let folder = Folder::open(&options.dir)?;
        // Until there is a new one, a script that waits for it must not find the old one.
        private::remove(&folder.path().join("dev.json"))?;
        Ok(Self { options, program, folder, postgres: None, nats: None, serve: None, edges: Vec::new() })
    }

    /// The folder, absolutely.
    pub(super) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Starts everything in order, and says where it is once it is all there.
    pub(super) async fn rise(&mut self) -> Result<DevJson, Error> {
        let ground = self.lay_ground().await?;
        let admin = self.install(&ground).await?;
        let http = self.start_server(&ground, &admin).await?;
        let door = Door::new(&http, &admin)?;
        let auditor = self.folder.secret("auditor.token", || Ok(door::token(private::random()?)))?;
        door.let_in_auditor(&auditor).await?;
        let nodes = self.start_nodes(&ground, &door).await?;
        let home = ground.cluster.home();
        let json = DevJson {
            http,
            nats: ground.nats.url(),
            database: ground.database,
            tokens: Tokens { admin, auditor },
            nodes,
            data: (!home.starts_with(self.folder.path())).then(|| home.to_path_buf()),
        };
        let text = json.to_text();
        private::write(&self.folder.path().join("dev.json"), text.as_bytes())?;
        Ok(json)
    }

    /// Stops everything in order; what was never started is not there to stop.
    pub(super) async fn stop(&mut self) {
        futures::future::join_all(self.edges.drain(..).map(Supervised::stop)).await;
        for server in [&mut self.serve, &mut self.nats, &mut self.postgres] {
            if let Some(server) = server.take() {
                server.stop().await;
            }
        }
    }

    async fn lay_ground(&mut self) -> Result<Ground, Error> {
        let programs = find::postgres(self.options.postgres_bin.as_deref()).map_err(Machine::from)?;
        let program = find::nats_server(self.options.nats_server.as_deref()).map_err(Machine::from)?;
        let (path, logs, ports) = (self.folder.path(), self.folder.logs(), self.folder.ports());
        tracing::info!(version = %programs.version, bin = %programs.bin.display(), "starting PostgreSQL");
        let options = postgres::Options {
            programs,
            home: path.join("postgres"),
            logs: logs.clone(),
            port: ports.postgres,
            settings: Vec::new(),
        };
        let cluster = Cluster::make(&options).await?;
        tracing::info!(version = %program.version, program = %program.path.display(), "starting nats-server");
        let nats = NatsServer::make(&nats::Options { program, home: path.join("nats"), logs, port: ports.nats })?;
        let postgres = self.postgres.insert(supervise(&self.folder, cluster.spec())?);
        let nats_server = self.nats.insert(supervise(&self.folder, nats.spec())?);
        running::ready(&cluster, postgres).await?;
        running::ready(&nats, nats_server).await?;
        let database = cluster.create_database(DATABASE).await?;
        Ok(Ground { cluster, nats, database })
    }

    /// Runs `headwater install`, and gives the token of the first admin.
    async fn install(&self, ground: &Ground) -> Result<String, Error> {
        let mut args: Vec<OsString> = vec!["install".into(), "--json".into()];
        for role in ["app", "replication", "reader"] {
            let name = format!("{role}.password");
            self.folder.secret(&name, private::password)?;
            args.extend([format!("--{role}-password-file").into(), self.secret_path(&name)]);
        }
        args.extend(["--signing-key-file".into(), self.secret_path("signing.key")]);
        args.extend(["--admin-token-file".into(), self.secret_path("admin.token")]);
        let env = [
            ("HEADWATER_DATABASE_URL", ground.database.clone().into()),
            ("HEADWATER_NATS_URL", ground.nats.url().into()),
        ];
        let spec = self.ours("install", args, env.into(), SERVE_GRACE);
        tracing::info!("installing");
        let mut child = spec.spawn()?;
        let status = match tokio::time::timeout(INSTALL_WITHIN, child.exited()).await {
            Ok(status) => status?,
            Err(_) => child.stop().await?,
        };
        if !status.success() {
            let (name, log) = ("headwater install".to_owned(), spec.log_tail());
            return Err(Machine::Ended { name, status, log }.into());
        }
        self.folder.kept_secret("admin.token")?.ok_or(Error::NoAdmin)
    }

    /// Starts `headwater serve`, and gives the door's URL once it is ready.
    async fn start_server(&mut self, ground: &Ground, admin: &str) -> Result<String, Error> {
        let address = self.http_address()?;
        self.folder.remember(Ports {
            http: Some(address.port()),
            postgres: Some(ground.cluster.port()),
            nats: Some(ground.nats.port()),
        })?;
        let env = [
            ("HEADWATER_HTTP", address.to_string().into()),
            ("HEADWATER_DATABASE_URL", self.role_url(ground, "app", "app")?.into()),
            ("HEADWATER_REPLICATION_URL", self.role_url(ground, "relay", "replication")?.into()),
            ("HEADWATER_NATS_URL", ground.nats.url().into()),
            ("HEADWATER_SIGNING_KEY_FILE", self.secret_path("signing.key")),
        ];
        let spec = self.ours("serve", vec!["serve".into()], env.into(), SERVE_GRACE);
        let http = format!("http://{}", reachable(address));
        tracing::info!(http, "starting the server");
        let serve = self.serve.insert(supervise(&self.folder, &spec)?);
        let door = Door::new(&http, admin)?;
        running::ready(&Serve { spec, door }, serve).await?;
        Ok(http)
    }

    async fn start_nodes(&mut self, ground: &Ground, door: &Door) -> Result<Vec<Node>, Error> {
        let mut nodes = Vec::new();
        let began = Instant::now();
        for number in 1..=self.options.nodes {
            let id = format!("node-{number}");
            door.enrol(number, &id).await?;
            let dir = self.folder.path().join("nodes").join(&id);
            private::folder(&dir, None)?;
            let spec = self.edge(ground, &id, &dir);
            self.edges.push(supervise(&self.folder, &spec)?);
            nodes.push(Node { id, dir });
        }
        tracing::info!(nodes = nodes.len(), ms = began.elapsed().as_millis(), "started the nodes");
        Ok(nodes)
    }

    fn edge(&self, ground: &Ground, id: &str, dir: &std::path::Path) -> Spec {
        let mut args: Vec<OsString> = ["edge", "--node", id, "--dir"].map(OsString::from).into();
        args.push(dir.into());
        for (flag, command) in [("--check", &self.options.check), ("--apply", &self.options.apply)] {
            if let Some(command) = command {
                args.extend([flag.into(), command.into()]);
            }
        }
        let env = [("HEADWATER_NATS_URL", ground.nats.url().into())];
        self.ours(id, args, env.into(), EDGE_GRACE)
    }

    /// A child that is `headwater` itself.
    fn ours(&self, name: &str, args: Vec<OsString>, env: Vec<(&str, OsString)>, grace: Duration) -> Spec {
        Spec {
            name: name.to_owned(),
            program: self.program.clone(),
            args,
            env: env.into_iter().map(|(name, value)| (name.into(), value)).collect(),
            dir: self.folder.path().to_path_buf(),
            log: self.folder.logs().join(format!("{name}.log")),
            account: None,
            ask: Ask::Terminate,
            grace,
        }
    }

    fn secret_path(&self, name: &str) -> OsString {
        self.folder.secret_file(name).into()
    }

    fn role_url(&self, ground: &Ground, role: &str, secret: &str) -> Result<String, Machine> {
        let password = self.folder.secret(&format!("{secret}.password"), private::password)?;
        let port = ground.cluster.port();
        Ok(format!("postgres://headwater_{role}:{password}@127.0.0.1:{port}/{DATABASE}"))
    }

    /// The address asked for; any free port of the loopback interface if none was.
    fn http_address(&self) -> Result<SocketAddr, Machine> {
        let mut address = self.options.http.unwrap_or((Ipv4Addr::LOCALHOST, 0).into());
        if address.port() == 0 {
            address.set_port(port::free(self.folder.ports().http)?);
        }
        Ok(address)
    }
}

fn supervise(folder: &Folder, spec: &Spec) -> Result<Supervised, Machine> {
    Supervised::start(spec.clone(), folder.run())
}

/// Where to reach what listens at `address`: a server that listens everywhere listens here too.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    address
}
