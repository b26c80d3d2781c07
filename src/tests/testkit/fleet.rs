//! A whole Headwater of real processes: `install`, any number of `serve`, any number of `edge`.
//!
//! Always: every process is killed when the fleet is dropped.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use agent::layout::Layout;
use agent::node_seed::NodeSeed;
use lab::child::{Child, ChildSpec, StopSignal};
use lab::port;
use program::clock;
use program::failpoints;
use schema::address::{APP_ROLE, READER_ROLE, RELAY_ROLE};
use serde_json::json;

use crate::backends::TestBackends;
use crate::disk;
use crate::eventually::eventually;
use crate::http_api::HttpApi;
use crate::programs;

/// How long the fleet may take to become what it should be, whatever was done to it.
pub const CONVERGED_WITHIN: Duration = Duration::from_secs(60);
/// How long a process may take to end when asked.
const GRACE: Duration = Duration::from_secs(20);

/// A process that can be killed and started again.
pub struct Process(Child);

impl Process {
    fn start(spec: &ChildSpec) -> Self {
        Self(spec.spawn().unwrap())
    }

    /// Kills it with -9.
    pub fn kill(&mut self) {
        self.0.kill();
    }

    /// Stops it where it stands, or lets it go on.
    pub fn freeze(&self, frozen: bool) {
        self.0.freeze(frozen);
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.0.ended().unwrap().is_some()
    }

    /// Starts it again as it was started first.
    pub fn start_again(&mut self) {
        self.0 = self.0.spec().spawn().unwrap();
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        self.0.spec().log_tail()
    }

    /// Asks it to end, and says whether it ended well.
    pub async fn stop(&mut self) -> bool {
        self.0.stop().await.unwrap().success()
    }
}

/// A server and its HTTP API.
pub struct Server {
    pub process: Process,
    pub api: HttpApi,
}

/// A node's agent and its folder.
pub struct AgentProcess {
    pub process: Process,
    pub dir: PathBuf,
}

/// Everything that runs.
pub struct Fleet {
    pub agents: BTreeMap<String, AgentProcess>,
    pub servers: Vec<Server>,
    pub backends: TestBackends,
    pub ways: Ways,
    token: String,
}

/// How processes that are started from now on reach what they need, where it is not as usual.
#[derive(Clone, Debug, Default)]
pub struct Ways {
    /// Where servers find NATS.
    pub server_nats: Option<String>,
    /// Where agents find NATS.
    pub agent_nats: Option<String>,
    /// What agents are told beside.
    pub agent_args: Vec<OsString>,
    /// Variables of every process.
    pub env: Vec<(&'static str, String)>,
    /// The program, if it is not the one of this build.
    pub program: Option<PathBuf>,
}

impl Fleet {
    /// Installs a log and starts one server.
    pub async fn start() -> Self {
        let mut fleet = Self::on(TestBackends::start().await, Ways::default()).await;
        fleet.serve("all").await;
        fleet
    }

    /// Installs a log whose nodes have keys, and starts one server.
    pub async fn with_identities() -> Self {
        let mut fleet = Self::on(TestBackends::with_identities().await, Ways::default()).await;
        fleet.serve("all").await;
        fleet
    }

    /// Installs a log, and starts nothing yet.
    pub async fn on(backends: TestBackends, ways: Ways) -> Self {
        let mut fleet = Self { agents: BTreeMap::new(), servers: Vec::new(), backends, ways, token: String::new() };
        fleet.install().await;
        fleet
    }

    /// Runs `headwater install`, which may be done any number of times.
    pub async fn install(&mut self) {
        let dir = self.backends.dir.path();
        let file = |name: &str| OsString::from(dir.join(name));
        let mut args: Vec<OsString> = vec!["install".into(), "--json".into()];
        for (flag, role) in [("app", APP_ROLE), ("replication", RELAY_ROLE), ("reader", READER_ROLE)] {
            std::fs::write(dir.join(role), role).unwrap();
            args.extend([format!("--{flag}-password-file").into(), file(role)]);
        }
        args.extend(["--admin-token-file".into(), file("admin.token")]);
        let env = [("HEADWATER_DATABASE_URL", self.backends.database())];
        let mut install = self.spec("install", args, &env).spawn().unwrap();
        assert!(install.exited().await.unwrap().success(), "install: {}", install.spec().log_tail());
        self.token = std::fs::read_to_string(dir.join("admin.token")).unwrap();
    }

    /// Runs a command of the application's role to its end, and gives its exit code and what it said: what it printed first,
    /// then its log.
    pub async fn run(&self, args: &[&str]) -> (Option<i32>, String) {
        let env = [("HEADWATER_DATABASE_URL", self.backends.database_as(APP_ROLE))];
        let spec = self.spec("run", args.iter().map(OsString::from).collect(), &env);
        let mut command = tokio::process::Command::new(&spec.program);
        command
            .args(&spec.args)
            .env_clear()
            .envs(spec.env)
            .current_dir(&spec.dir)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let ended = command.output().await.unwrap();
        let said = [ended.stdout, ended.stderr].concat();
        (ended.status.code(), String::from_utf8(said).unwrap())
    }

    /// Starts one more `headwater serve` in a role, and waits until it is ready.
    pub async fn serve(&mut self, role: &str) {
        let server = self.server(role);
        server.api.ready().await;
        self.servers.push(server);
    }

    /// Starts a `headwater serve` in a role, whether or not it can do its work.
    pub fn server(&self, role: &str) -> Server {
        let http = format!("127.0.0.1:{}", port::free(None).unwrap());
        let nats = self.ways.server_nats.clone().unwrap_or_else(|| self.backends.nats_url());
        let env = [
            ("HEADWATER_DATABASE_URL", self.backends.database_as(APP_ROLE)),
            ("HEADWATER_REPLICATION_URL", self.backends.database_as(RELAY_ROLE)),
            ("HEADWATER_NATS_URL", nats),
            ("HEADWATER_HTTP", http.clone()),
        ];
        let name = format!("serve-{}", self.servers.len());
        let process = Process::start(&self.spec(&name, vec!["serve".into(), "--role".into(), role.into()], &env));
        Server { process, api: HttpApi::new(&http, &self.token) }
    }

    /// Enrols a node and starts its agent.
    pub async fn node(&mut self, id: &str, labels: serde_json::Value) {
        self.nodes([(id.to_owned(), labels)].into_iter()).await;
    }

    /// Enrols nodes with their labels in one request, and starts their agents.
    pub async fn nodes(&mut self, nodes: impl Iterator<Item = (String, serde_json::Value)>) {
        let nodes: Vec<(String, serde_json::Value)> = nodes.collect();
        let enrol = nodes.iter().map(|(id, labels)| {
            let mut enrol = json!({"type": "enrol_node", "id": id, "labels": labels});
            if self.backends.has_identities {
                enrol["keys"] = json!(self.seed(id).keys());
            }
            enrol
        });
        self.api().accepted(json!({"commands": enrol.collect::<Vec<_>>()})).await;
        nodes.iter().for_each(|(id, _)| self.start_agent(id));
    }

    /// The folder of a node.
    pub fn node_dir(&self, id: &str) -> PathBuf {
        self.backends.dir.path().join("nodes").join(id)
    }

    /// The seed of a node, which is made if it has none.
    pub fn seed(&self, id: &str) -> NodeSeed {
        let dir = self.node_dir(id);
        std::fs::create_dir_all(&dir).unwrap();
        NodeSeed::read_or_create(&Layout::of(dir)).unwrap()
    }

    /// Starts the agent of a node.
    pub fn start_agent(&mut self, id: &str) {
        let dir = self.node_dir(id);
        std::fs::create_dir_all(&dir).unwrap();
        let args: Vec<OsString> = ["edge", "--node", id, "--dir"].map(OsString::from).into();
        let args = args.into_iter().chain([dir.clone().into()]).chain(self.ways.agent_args.clone()).collect();
        let nats = self.ways.agent_nats.clone().unwrap_or_else(|| self.backends.nats_url());
        let process = Process::start(&self.spec(&format!("edge-{id}"), args, &[("HEADWATER_NATS_URL", nats)]));
        self.agents.insert(id.to_owned(), AgentProcess { process, dir });
    }

    /// The first administrator's token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The first server's HTTP API.
    pub fn api(&self) -> &HttpApi {
        &self.servers[0].api
    }

    /// Waits until every node has exactly these files and says so, as one server sees it.
    pub async fn converges(&self, want: &BTreeMap<String, disk::Tree>) {
        self.converges_seen_by(self.api(), want).await;
    }

    /// As [`Fleet::converges`], asking a certain server.
    pub async fn converges_seen_by(&self, api: &HttpApi, want: &BTreeMap<String, disk::Tree>) {
        for (node, tree) in want {
            eventually(&format!("node {node} has its files and says so"), CONVERGED_WITHIN, async || {
                disk::same(&self.agents[node].dir, tree)?;
                let shown = api.get(&format!("/v1/nodes/{node}")).await?;
                match shown.body["state"].as_str() {
                    Some("converged") => Ok(()),
                    _ => Err(format!("{shown:?}")),
                }
            })
            .await;
        }
        // Nothing moved while the others were looked at.
        for (node, tree) in want {
            disk::same(&self.agents[node].dir, tree).unwrap();
        }
    }

    fn spec(&self, name: &str, args: Vec<OsString>, env: &[(&str, String)]) -> ChildSpec {
        let dir = self.backends.dir.path();
        let ours = [
            ("HEADWATER_NATS_URL", self.backends.nats_url().into()),
            ("HEADWATER_SIGNING_KEY_FILE", OsString::from(dir.join("signing.key"))),
            (failpoints::FILE, OsString::from(dir.join(format!("{name}.point")))),
            (clock::FILE, OsString::from(dir.join(format!("{name}.clock")))),
        ];
        let bus = self.backends.bus();
        let keys = [("HEADWATER_NATS_NKEY_FILE", bus.join("relay.nk").into()), ("HEADWATER_BUS_DIR", bus.into())];
        let ours = ours.into_iter().chain(keys.into_iter().filter(|_| self.backends.has_identities));
        let told = self.ways.env.iter().chain(env).map(|(name, value)| (*name, value.into()));
        ChildSpec {
            name: name.to_owned(),
            program: self.ways.program.clone().unwrap_or_else(programs::headwater),
            args,
            env: ours.chain(told).map(|(name, value)| (name.into(), value)).collect(),
            dir: dir.to_path_buf(),
            log: dir.join(format!("{name}.log")),
            account: None,
            ask: StopSignal::Terminate,
            grace: GRACE,
        }
    }
}
