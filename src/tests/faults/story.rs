//! One story: the stage is set, a load begins, at a seeded moment something goes wrong and is put right, and then the law
//! must hold.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::json;
use tempfile::TempDir;

use crate::claims::{self, Claims};
use crate::disks::Disk;
use crate::reader;
use crate::wire::Wire;
use crate::witness::Witness;
use testkit::backends::TestBackends;
use testkit::disk::Tree;
use testkit::eventually::eventually;
use testkit::fleet::{Fleet, Ways};
use testkit::law;
use testkit::load::{Load, Outcome};
use testkit::nats_cluster::NatsCluster;
use testkit::proxy::Proxy;
use testkit::skipped::did_not_run;

/// How long the system may take to be at work, before a fault and after it.
const AT_WORK_WITHIN: Duration = Duration::from_secs(90);
/// Events that are appended before the fault: the seed says how many of these.
const EVENTS_BEFORE: std::ops::Range<u64> = 30..150;
/// Events that are appended after it.
const EVENTS_AFTER: u64 = 60;
/// How long a fault lasts that has to last.
const SHORT: Duration = Duration::from_secs(4);
/// The same in the long form.
const LONG: Duration = Duration::from_secs(30);
/// The nodes of every stage.
pub(crate) const NODES: [&str; 2] = ["a", "b"];

/// How the stage differs from one server, two nodes and some runtimes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stage {
    /// Servers.
    pub(crate) servers: usize,
    /// Settings of PostgreSQL.
    pub(crate) settings: &'static [(&'static str, &'static str)],
    /// Whether servers reach PostgreSQL by a proxy.
    pub(crate) postgres_by_proxy: bool,
    /// Whether servers reach NATS by a wire.
    pub(crate) servers_by_wire: bool,
    /// Whether agents reach NATS by a wire.
    pub(crate) agents_by_wire: bool,
    /// What is on a small disk of its own.
    pub(crate) small_disk: Option<&'static str>,
    /// The operator's check and hook, if there are any.
    pub(crate) hooks: Option<[&'static str; 2]>,
    /// Whether NATS is a cluster of three.
    pub(crate) cluster: bool,
}

/// The usual stage.
pub(crate) const PLAIN: Stage = Stage {
    servers: 1,
    settings: &[],
    postgres_by_proxy: false,
    servers_by_wire: false,
    agents_by_wire: false,
    small_disk: None,
    hooks: None,
    cluster: false,
};
/// Two servers.
pub(crate) const TWO: Stage = Stage { servers: 2, ..PLAIN };

/// A story that is being told.
pub(crate) struct Story {
    pub(crate) fleet: Fleet,
    pub(crate) random: Rng,
    // They go last: the fleet stands on them.
    pub(crate) props: Props,
}

/// What stands on the stage beside the fleet.
#[derive(Default)]
pub(crate) struct Props {
    pub(crate) proxy: Option<Proxy>,
    pub(crate) wire: Option<Wire>,
    pub(crate) disk: Option<Disk>,
    pub(crate) cluster: Option<NatsCluster>,
    /// The server of it that was killed.
    pub(crate) down: Option<usize>,
}

/// The seed of this run: given, or drawn.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("FAULT_SEED").ok();
    given.map_or_else(|| fastrand::u64(..), |seed| seed.parse().expect("FAULT_SEED is a number"))
}

/// Whether faults last as long as in earnest.
pub(crate) fn is_long() -> bool {
    std::env::var("FAULT_FORM").is_ok_and(|form| form == "long")
}

/// Sets the stage: an installed log, and nothing that runs on it yet.
async fn set(stage: Stage) -> (Fleet, Props) {
    let (dir, mut props, mut ways) = (open_dir(), Props::default(), Ways::default());
    props.disk = stage.small_disk.map(|place| Disk::at(&dir.path().join(place)));
    let mut backends = TestBackends::start_in(dir, stage.settings).await;
    if stage.postgres_by_proxy {
        let proxy = Proxy::to(backends.postgres.port()).await;
        backends.postgres_by = Some(proxy.port());
        props.proxy = Some(proxy);
    }
    if stage.servers_by_wire || stage.agents_by_wire {
        let wire = Wire::to(backends.nats.port()).await;
        let url = wire.instead(&backends.nats_url());
        ways.server_nats = stage.servers_by_wire.then(|| url.clone());
        ways.agent_nats = stage.agents_by_wire.then_some(url);
        props.wire = Some(wire);
    }
    if let Some([check, apply]) = stage.hooks {
        ways.agent_args = ["--check", check, "--apply", apply].map(Into::into).into();
    }
    if stage.cluster {
        let cluster = NatsCluster::start(backends.dir.path(), None).await;
        backends.nats_elsewhere = Some(cluster.url());
        ways.env.push(("HEADWATER_NATS_REPLICAS", "3".to_owned()));
        props.cluster = Some(cluster);
    }
    (Fleet::on(backends, ways).await, props)
}

/// A folder that every account may enter.
pub(crate) fn open_dir() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o711)).unwrap();
    dir
}

/// Plays a scenario on a stage of its own.
pub(crate) async fn play(
    name: &str,
    stage: Stage,
    harm: impl AsyncFnOnce(&mut Story),
    heal: impl AsyncFnOnce(&mut Story),
) {
    let seed = seed();
    println!("FAULT_SEED={seed} plays {name} again");
    if stage.small_disk.is_some() && !Disk::is_possible() {
        return did_not_run(name, "only root can make a disk that is small enough to fill");
    }
    let (mut fleet, props) = set(stage).await;
    for _ in 0..stage.servers {
        fleet.serve("all").await;
    }
    for node in NODES {
        fleet.node(node, json!({})).await;
    }
    let mut story = Story { fleet, random: Rng::with_seed(seed), props };
    let witness = Witness::begin(&story.fleet).await;
    let claims = Claims::begin(seed, &story.fleet).await;
    let apis: Vec<_> = story.fleet.servers.iter().map(|server| server.api.clone()).collect();
    let load = Load::begin(seed, &apis, NODES[0]);
    let before = story.random.u64(EVENTS_BEFORE);
    story.grows(before).await;

    harm(&mut story).await;
    heal(&mut story).await;
    let healed = Instant::now();
    story.grows(EVENTS_AFTER).await;
    let works_again = healed.elapsed();

    let outcome = load.end().await;
    let grants = claims.end().await;
    // What was held up last has come by then, and what follows is the rest of a system at rest.
    story.is_published().await;
    let stream = witness.published.longest();
    let log = story.settles(&outcome).await;
    let nodes = witness.applied.longest();
    let figures = Figures { api: outcome.pause, stream, nodes, works_again, requests: outcome.answered() };
    claims::hold(&log, &grants);
    let desired = reader::desired(&log);
    witness.saw_nothing_wrong(&desired);
    let last = desired.values().next_back().cloned().unwrap();
    for node in NODES {
        eventually("the buckets say what the log says", AT_WORK_WITHIN, async || {
            let said = reader::buckets(&story.fleet.backends, node).await?;
            if said == (last.clone(), last.clone()) { Ok(()) } else { Err(format!("{node}: {said:?}, not {last}")) }
        })
        .await;
    }
    figures.tell(name, seed, log.len());
    story.still_works(outcome.tree()).await;
}

impl Story {
    /// Waits until the log has grown by some events.
    pub(crate) async fn grows(&self, events: u64) {
        let url = self.fleet.backends.database();
        let from = eventually("the head can be read", AT_WORK_WITHIN, async || reader::head(&url).await).await;
        eventually("the log grows", AT_WORK_WITHIN, async || match reader::head(&url).await? {
            head if head >= from + events => Ok(()),
            head => Err(format!("{head} events after {from}, and {events} more wanted")),
        })
        .await;
    }

    /// Waits until all that is in the log is public.
    async fn is_published(&self) {
        let backends = &self.fleet.backends;
        eventually("all is published", AT_WORK_WITHIN, async || {
            let (head, end) =
                (reader::head(&backends.database()).await?, reader::stream_end(&backends.nats_url()).await?);
            if head == end { Ok(()) } else { Err(format!("{end} of {head}")) }
        })
        .await;
    }

    /// For how long a fault lasts that has to last. Nothing is waited for here: this is the fault.
    pub(crate) async fn lasts(&self) {
        tokio::time::sleep(if is_long() { LONG } else { SHORT }).await;
    }

    /// A moment within a span, as the seed has it.
    pub(crate) async fn a_moment(&mut self, ms: std::ops::Range<u64>) {
        let moment = Duration::from_millis(self.random.u64(ms));
        tokio::time::sleep(moment).await;
    }

    /// Any of the nodes, as the seed has it.
    pub(crate) fn any_node(&mut self) -> &'static str {
        NODES[self.random.usize(..NODES.len())]
    }

    /// Everybody has what the log says, and the log holds what was answered.
    async fn settles(&self, outcome: &Outcome) -> Vec<law::Line> {
        let api = self.fleet.servers.last().unwrap().api.clone();
        self.fleet.converges_seen_by(&api, &wanted(&outcome.tree())).await;
        let log = law::holds(&self.fleet.backends).await;
        outcome.is_true_of(&log);
        log
    }

    /// After all that a change still reaches every node.
    async fn still_works(&self, mut tree: Tree) {
        let put = json!({
            "type": "put_document", "id": "after", "path": "after.txt", "media_type": "text/plain", "content": "after",
            "target": {"all": true}, "priority": 0,
        });
        let api = self.fleet.servers.last().unwrap().api.clone();
        api.accepted(json!({"commands": [put]})).await;
        tree.insert("files/after.txt".into(), b"after".into());
        self.fleet.converges_seen_by(&api, &wanted(&tree)).await;
    }
}

fn wanted(tree: &Tree) -> BTreeMap<String, Tree> {
    NODES.map(|node| (node.to_owned(), tree.clone())).into()
}

/// What users saw.
#[derive(Debug)]
struct Figures {
    /// The longest time in which no request was accepted.
    api: Duration,
    /// The longest time in which nothing was published.
    stream: Duration,
    /// The longest time in which no node had anything new in force.
    nodes: Duration,
    /// From when the fault was put right until the log had grown.
    works_again: Duration,
    requests: usize,
}

impl Figures {
    /// Prints them, and adds them to the table that `FAULT_TABLE` names.
    fn tell(&self, name: &str, seed: u64, events: usize) {
        let Self { api, stream, nodes, works_again, requests } = self;
        let mut row = format!("{name}\t{seed}\t{events}\t{requests}");
        for span in [api, stream, nodes, works_again] {
            write!(row, "\t{:.2}", span.as_secs_f64()).unwrap();
        }
        println!("scenario\tseed\tevents\trequests\tdoor_s\tstream_s\tnodes_s\tagain_s\n{row}");
        if let Some(table) = std::env::var_os("FAULT_TABLE") {
            let table = std::fs::OpenOptions::new().create(true).append(true).open(table);
            table.unwrap().write_all(format!("{row}\n").as_bytes()).unwrap();
        }
    }
}

/// A table of scenarios: `name: stage, what is done, how it is undone;`. Each is a test.
macro_rules! scenarios {
    ($($(#[$meta:meta])* $name:ident: $stage:expr, $harm:expr, $heal:expr;)*) => {
        $(
            $(#[$meta])*
            #[tokio::test]
            async fn $name() {
                $crate::story::play(stringify!($name), $stage, $harm, $heal).await;
            }
        )*
    };
}

pub(crate) use scenarios;

/// What is undone by what was done.
pub(crate) async fn nothing(_: &mut Story) {}
