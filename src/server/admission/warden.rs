//! Cuts the connections of nodes that are not let in any more.
//!
//! nats-server asks once, when a client connects. So whoever loses the right to be there is looked for among the live connections: when
//! the log takes a key away, at each start, and now and then.

use std::time::Duration;

use bus::connect::Link;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use program::clock::system_time;
use program::failpoints;
use projections::configuration::Configuration;
use schema::permissions::NODES_ACCOUNT;
use serde::Deserialize;
use serde_json::json;
use store::log::Log;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::judgement::is_still_admitted;

/// Each nats-server answers here with its connections.
const CONNECTIONS: &str = "$SYS.REQ.SERVER.PING.CONNZ";
/// Connections in one answer.
const PAGE: usize = 1_024;
/// How often connections are compared with the log without a change.
const EVERY: Duration = Duration::from_secs(30);
/// The least time between two looks.
const GAP: Duration = Duration::from_millis(100);
/// After a look that found nothing there is another one so much later.
const SECOND_LOOK_AFTER: Duration = Duration::from_secs(1);
/// How long the servers of a cluster may take to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// After the first answer the others come within this time, or are asked again next time.
const OTHERS_WITHIN: Duration = Duration::from_millis(250);
/// The pause after a look that failed.
const REST: Duration = Duration::from_secs(1);

/// Looks for connections, and cuts them.
#[derive(Clone, Debug)]
pub struct Warden {
    /// A connection in the system account of NATS.
    pub link: Link,
}

/// The connections of one nats-server, or a page of them.
#[derive(Deserialize)]
struct Connections {
    server: Server,
    data: Page,
}

#[derive(Deserialize)]
struct Server {
    id: String,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    connections: Vec<Connection>,
    #[serde(default)]
    total: usize,
}

#[derive(Deserialize)]
struct Connection {
    cid: u64,
    /// The name of the connection that the server gave it: see `Admitted::connection_name`.
    #[serde(default, rename = "authorized_user")]
    name: String,
}

type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// The connections of the nodes can't be listed or cut.
#[derive(Debug, thiserror::Error)]
enum WardenError {
    #[error("no nats-server answered")]
    Silent,
    #[error("NATS does not take the request")]
    Nats(#[source] BoxedError),
}

impl Warden {
    /// Looks for ever.
    pub async fn run(self, log: Log) {
        let (mut views, mut is_first_look) = (log.views(), true);
        loop {
            self.link.up().await;
            let state = views.borrow_and_update().clone();
            match self.cut(&state).await {
                Ok(0) => {}
                Ok(cut) => {
                    tracing::info!(connections = cut, "cut connections that are not let into NATS any more");
                    is_first_look = true;
                    sleep(GAP).await;
                    continue;
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "can't compare the connections with the log; trying again"
                    );
                    is_first_look = true;
                    sleep(REST).await;
                    continue;
                }
            }
            // A connection that was judged just before the change may not have been in the list yet. And after some time the next look
            // comes without a change that was seen: one may have come and gone between two states.
            let pause = if is_first_look { SECOND_LOOK_AFTER } else { EVERY };
            let has_changed = timeout(pause, access_lost(&mut views, state)).await.is_ok();
            is_first_look = has_changed || !is_first_look;
        }
    }

    /// Cuts every connection that is not let in by this state. Returns how many there were.
    async fn cut(&self, state: &Configuration) -> Result<usize, WardenError> {
        let (mut cut, mut offset) = (0, 0);
        loop {
            let (cut_here, total) = self.cut_page(state, offset).await?;
            cut += cut_here;
            // Those that were cut are in the list no more, so the others moved up.
            offset += PAGE - cut_here.min(PAGE);
            if offset >= total {
                return Ok(cut);
            }
        }
    }

    /// Looks at a page of the connections of each server, and cuts as soon as one has answered. Returns how many were cut, and the largest
    /// number of connections that a server has.
    async fn cut_page(&self, state: &Configuration, offset: usize) -> Result<(usize, usize), WardenError> {
        let client = self.link.client();
        let inbox = client.new_inbox();
        let asked = async {
            let answers = client.subscribe(inbox.clone()).await?;
            let ask = json!({"auth": true, "acc": NODES_ACCOUNT, "limit": PAGE, "offset": offset}).to_string();
            client.publish_with_reply(CONNECTIONS, inbox, ask.into()).await?;
            Ok::<_, BoxedError>(answers)
        };
        let mut answers = asked.await.map_err(WardenError::Nats)?;
        let (mut kicks, mut cut, mut total, mut servers) = (FuturesUnordered::new(), 0, 0, 0);
        let mut until = Instant::now() + ANSWERS_WITHIN;
        loop {
            tokio::select! {
                Some(kicked) = kicks.next() => {
                    kicked?;
                    cut += 1;
                    metrics::connection_cut();
                }
                answer = timeout_at(until, answers.next()) => {
                    let Ok(Some(answer)) = answer else { break };
                    let Ok(Connections { server, data }) = serde_json::from_slice(&answer.payload) else { continue };
                    let is_lost = |connection: &Connection| !is_still_admitted(state, &connection.name, system_time());
                    let lost = data.connections.into_iter().filter(is_lost);
                    kicks.extend(lost.map(|connection| self.kick(server.id.clone(), connection.cid)));
                    (total, servers) = (total.max(data.total), servers + 1);
                    until = until.min(Instant::now() + OTHERS_WITHIN);
                }
            }
        }
        while let Some(kicked) = kicks.next().await {
            kicked?;
            cut += 1;
            metrics::connection_cut();
        }
        if servers == 0 { Err(WardenError::Silent) } else { Ok((cut, total)) }
    }

    /// Cuts a connection. A server acts only on a request that it can answer.
    async fn kick(&self, server: String, connection: u64) -> Result<(), WardenError> {
        failpoints::CUT_JUDGED.reached();
        let kick = json!({ "cid": connection }).to_string();
        let asked = self.link.client().request(format!("$SYS.REQ.SERVER.{server}.KICK"), kick.into());
        asked.await.map(drop).map_err(|error| WardenError::Nats(error.into()))
    }
}

/// Waits until somebody may have lost access, from one state to the next.
async fn access_lost(views: &mut watch::Receiver<Configuration>, mut before: Configuration) {
    loop {
        let now = views.borrow_and_update().clone();
        if now.identities().takes_access_of(before.identities()) {
            return;
        }
        before = now;
        if views.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}
