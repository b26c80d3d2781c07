//! A NATS cluster of three that keeps three copies of every stream, and loses one of its servers.

use std::path::Path;
use std::time::Duration;

use bus::connect::connect;
use lab::child::{ChildSpec, StopSignal};
use lab::port;
use lab::running_server::{RunningServer, Server};
use lab::server_programs;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;

use crate::story::{PLAIN, Stage, Story, scenarios};
use testkit::eventually::eventually;

/// NATS is a cluster.
const CLUSTER: Stage = Stage { cluster: true, ..PLAIN };
/// How long the cluster may take to have a leader.
const LED_WITHIN: Duration = Duration::from_secs(30);
/// How long a server may take to end when asked.
const GRACE: Duration = Duration::from_secs(15);

scenarios! {
    cluster_loses_a_server: CLUSTER, kill_follower, start_all;
    cluster_loses_its_leader: CLUSTER, kill_leader, start_all;
}

/// Any server that does not lead the event stream.
async fn kill_follower(story: &mut Story) {
    let leader = story.props.cluster.as_ref().unwrap().leader().await;
    let which = (leader + story.random.usize(1..3)) % 3;
    kill(story, which).await;
}

async fn kill_leader(story: &mut Story) {
    let leader = story.props.cluster.as_ref().unwrap().leader().await;
    kill(story, leader).await;
}

async fn kill(story: &mut Story, which: usize) {
    let cluster = story.props.cluster.as_mut().unwrap();
    cluster.servers[which].kill();
    cluster.down = Some(which);
    story.grows(100).await;
}

async fn start_all(story: &mut Story) {
    let cluster = story.props.cluster.as_mut().unwrap();
    let which = cluster.down.take().unwrap();
    cluster.servers[which].start_again().await.unwrap();
}

/// Three servers.
pub(crate) struct Cluster {
    servers: Vec<RunningServer<Member>>,
    down: Option<usize>,
}

/// One of them.
struct Member {
    spec: ChildSpec,
    port: u16,
}

impl Cluster {
    /// Starts them below a folder, and waits until they agree.
    pub(crate) async fn start(dir: &Path) -> Self {
        let ports: Vec<(u16, u16)> = (0..3).map(|_| (port::free(None).unwrap(), port::free(None).unwrap())).collect();
        let members: Vec<Member> = (0..3).map(|number| Member::make(dir, number, &ports)).collect();
        let servers = futures::future::join_all(members.into_iter().map(RunningServer::start)).await;
        let servers = servers.into_iter().map(Result::unwrap).collect();
        let cluster = Self { servers, down: None };
        let link = connect(&cluster.url(), "test").await.unwrap();
        link.up().await;
        eventually("the cluster has a leader", LED_WITHIN, async || {
            link.jetstream().query_account().await.map(drop).map_err(|error| error.to_string())
        })
        .await;
        cluster
    }

    /// The URLs of all.
    pub(crate) fn url(&self) -> String {
        let urls = self.servers.iter().map(|server| format!("nats://headwater:secret@127.0.0.1:{}", server.port));
        urls.collect::<Vec<_>>().join(",")
    }

    /// Which one leads the event stream.
    async fn leader(&self) -> usize {
        let link = connect(&self.url(), "test").await.unwrap();
        link.up().await;
        eventually("the event stream has a leader", LED_WITHIN, async || {
            let stream = link.jetstream().get_stream("cfg_events").await.map_err(|error| error.to_string())?;
            let cluster = stream.cached_info().cluster.clone();
            let name = cluster.and_then(|cluster| cluster.leader).ok_or("nobody leads")?;
            name.trim_start_matches("member-").parse::<usize>().map_err(|error| error.to_string())
        })
        .await
    }
}

impl Member {
    fn make(dir: &Path, number: usize, ports: &[(u16, u16)]) -> Self {
        let home = dir.join(format!("member-{number}"));
        std::fs::create_dir(&home).unwrap();
        let (port, own) = ports[number];
        let routes: Vec<String> = ports.iter().map(|(_, route)| format!("\"nats://127.0.0.1:{route}\"")).collect();
        let text = format!(
            "server_name: member-{number}\nlisten: 127.0.0.1:{port}\n\
             jetstream {{ store_dir: \"{}\", limits {{ {} }} }}\n\
             cluster {{ name: three, listen: 127.0.0.1:{own}, routes: [{}] }}\n\
             authorization {{ user: headwater, password: secret }}\n",
            home.join("jetstream").display(),
            include_str!("../../../docker/nats/limits.conf").lines().last().unwrap(),
            routes.join(", "),
        );
        std::fs::write(home.join("nats.conf"), text).unwrap();
        let spec = ChildSpec {
            name: format!("nats-{number}"),
            program: server_programs::find_nats_server(None).unwrap().path,
            args: vec!["-c".into(), home.join("nats.conf").into()],
            env: Vec::new(),
            dir: home.clone(),
            log: dir.join(format!("member-{number}.log")),
            account: None,
            ask: StopSignal::Terminate,
            grace: GRACE,
        };
        Self { spec, port }
    }

    async fn greeting(&self) -> std::io::Result<String> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).await?;
        Ok(line)
    }
}

impl Server for Member {
    fn spec(&self) -> &ChildSpec {
        &self.spec
    }

    async fn answers(&self) -> bool {
        self.greeting().await.is_ok_and(|line| line.starts_with("INFO "))
    }

    fn may_start_later(&self, _log: &str) -> bool {
        false
    }
}
