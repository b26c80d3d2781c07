//! A NATS cluster of three servers that keeps three copies of every stream.

use std::path::Path;
use std::time::Duration;

use bus::bus_folder::{BUS_CONF, BusFolder, CentreUser};
use bus::connect::{Link, connect, connect_as};
use bus::identity::BusIdentity;
use lab::child::{ChildSpec, StopSignal};
use lab::port;
use lab::running_server::{RunningServer, Server};
use lab::server_programs;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;

use crate::eventually::eventually;

/// How long the cluster may take to have a leader.
const LED_WITHIN: Duration = Duration::from_secs(30);
/// How long a server may take to end when asked.
const GRACE: Duration = Duration::from_secs(15);

/// Three servers.
pub struct NatsCluster {
    pub servers: Vec<RunningServer<Member>>,
    /// Who looks at its streams.
    identity: Option<BusIdentity>,
}

/// One of them.
pub struct Member {
    spec: ChildSpec,
    port: u16,
}

impl NatsCluster {
    /// Starts them below a folder, and waits until they agree. They let in who has a key of the folder of keys, or all with one password.
    pub async fn start(dir: &Path, bus: Option<&BusFolder>) -> Self {
        let ports: Vec<(u16, u16)> = (0..3).map(|_| (port::free(None).unwrap(), port::free(None).unwrap())).collect();
        let access = match bus {
            Some(bus) => std::fs::read_to_string(bus.path(BUS_CONF)).unwrap(),
            None => "authorization { user: headwater, password: secret }\n".to_owned(),
        };
        let identity = bus.map(|bus| bus.identity(CentreUser::Relay).unwrap().unwrap());
        let members: Vec<Member> = (0..3).map(|number| Member::make(dir, number, &ports, &access)).collect();
        let servers = futures::future::join_all(members.into_iter().map(RunningServer::start)).await;
        let servers = servers.into_iter().map(Result::unwrap).collect();
        let cluster = Self { servers, identity };
        let link = cluster.link().await;
        eventually("the cluster has a leader", LED_WITHIN, async || {
            link.jetstream().query_account().await.map(drop).map_err(|error| error.to_string())
        })
        .await;
        cluster
    }

    /// The URLs of all.
    pub fn url(&self) -> String {
        let user = if self.identity.is_some() { "" } else { "headwater:secret@" };
        let urls = self.servers.iter().map(|server| format!("nats://{user}127.0.0.1:{}", server.port));
        urls.collect::<Vec<_>>().join(",")
    }

    /// The port of each.
    pub fn ports(&self) -> Vec<u16> {
        self.servers.iter().map(|server| server.port).collect()
    }

    async fn link(&self) -> Link {
        let link = match &self.identity {
            Some(identity) => connect_as(&self.url(), identity, "test").await.unwrap(),
            None => connect(&self.url(), "test").await.unwrap(),
        };
        link.up().await;
        link
    }

    /// Which one leads the event stream.
    pub async fn leader(&self) -> usize {
        let link = self.link().await;
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
    fn make(dir: &Path, number: usize, ports: &[(u16, u16)], access: &str) -> Self {
        let home = dir.join(format!("member-{number}"));
        std::fs::create_dir(&home).unwrap();
        let (port, own) = ports[number];
        let routes: Vec<String> = ports.iter().map(|(_, route)| format!("\"nats://127.0.0.1:{route}\"")).collect();
        let text = format!(
            "server_name: member-{number}\nlisten: 127.0.0.1:{port}\n\
             jetstream {{ store_dir: \"{}\", strict: true, limits {{ {} }} }}\n\
             cluster {{ name: three, listen: 127.0.0.1:{own}, routes: [{}] }}\n\
             {access}",
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
