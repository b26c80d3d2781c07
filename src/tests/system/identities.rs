//! Who is let into NATS, whose word counts, and how nodes join and are shut out.

use std::process::Stdio;
use std::time::{Duration, Instant};

use agent::node_seed::NodeSeed;
use bus::connect::{Link, connect_as};
use bus::identity::BusIdentity;
use client::api_client::ApiClient;
use client::endpoint::ServerUrl;
use client::join_token::{self, JoinTokenRequest, NatsPlace};
use schema::address::{Bucket, Prefix};
use schema::id::NodeId;
use schema::join::JoinLine;
use schema::node_keys::KeyBytes;
use schema::report::Reported;
use schema::say::{SIGNATURE_HEADER, Statement};
use schema::seal::SecretKey;
use schema::wire::WireRecord as _;
use serde_json::{Value, json};
use testkit::eventually::eventually;
use testkit::fleet::{CONVERGED_WITHIN, Fleet};
use testkit::http_api::HttpApi;
use testkit::programs;
use testkit::raw_nats::RawClient;

pub(crate) async fn relay(fleet: &Fleet) -> Link {
    let identity = BusIdentity::load(&fleet.backends.bus().join("relay.nk")).unwrap();
    let link = connect_as(&fleet.backends.nats_url(), &identity, "test").await.unwrap();
    link.up().await;
    link
}

pub(crate) async fn send(fleet: &Fleet, command: Value) {
    fleet.api().accepted(json!({"commands": [command]})).await;
}

/// Whether a client that has this key is let in.
async fn is_let_in(fleet: &Fleet, key: &SecretKey) -> bool {
    let (port, key) = (fleet.backends.nats.port(), key.clone());
    tokio::task::spawn_blocking(move || RawClient::as_user(port, &key).is_ok()).await.unwrap()
}

/// Waits until the server shows the state of a node.
pub(crate) async fn shows(fleet: &Fleet, node: &str, state: &str) {
    eventually(&format!("{node} is {state}"), CONVERGED_WITHIN, async || {
        let shown = fleet.api().get(&format!("/v1/nodes/{node}")).await?;
        if shown.body["state"] == state { Ok(()) } else { Err(format!("{shown:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_has_the_secret_half_of_a_key_of_the_log_is_let_in() {
    let mut fleet = Fleet::with_identities().await;
    fleet.node("n-1", json!({})).await;
    shows(&fleet, "n-1", "converged").await;
    let seed = fleet.seed("n-1");
    let (bus, stranger) = (seed.bus(), SecretKey::from_seed(&[1; 32]));
    assert!(is_let_in(&fleet, &bus).await);
    assert!(!is_let_in(&fleet, &stranger).await, "the log does not know it");
    assert!(!is_let_in(&fleet, &seed.say()).await, "a key that signs does not connect");
    let (port, public) = (fleet.backends.nats.port(), KeyBytes::from(&bus.public()));
    let forged = move || {
        let by = |sign: &dyn Fn(&[u8]) -> [u8; 64]| RawClient::connect(port, &public, sign).is_ok();
        // Another key's signature, one over another nonce, none.
        [by(&|nonce| stranger.sign(nonce)), by(&|_| bus.sign(b"another nonce")), by(&|_| [0; 64])]
    };
    assert_eq!(tokio::task::spawn_blocking(forged).await.unwrap(), [false; 3]);
    let nobody = move || {
        let greet = |credentials: Value| RawClient::greet(port, |_| credentials.clone()).is_ok();
        [greet(json!({})), greet(json!({"user": "headwater", "pass": "guess"})), greet(json!({"auth_token": "t"}))]
    };
    assert_eq!(tokio::task::spawn_blocking(nobody).await.unwrap(), [false; 3]);
    // Keys that are taken from the log open nothing; put back, they do.
    let other = NodeSeed::read_or_create(&agent::layout::Layout::of(fleet.backends.dir.path().to_owned())).unwrap();
    send(&fleet, json!({"type": "set_node_keys", "id": "n-1", "keys": other.keys()})).await;
    assert!(!is_let_in(&fleet, &seed.bus()).await);
    send(&fleet, json!({"type": "set_node_keys", "id": "n-1", "keys": seed.keys()})).await;
    assert!(is_let_in(&fleet, &seed.bus()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_barred_node_is_out_within_a_second_stays_out_and_disturbs_nobody() {
    let mut fleet = Fleet::with_identities().await;
    for node in ["n-1", "n-2"] {
        fleet.node(node, json!({})).await;
    }
    for node in ["n-1", "n-2"] {
        shows(&fleet, node, "converged").await;
    }
    let seed = fleet.seed("n-1");
    let (port, key) = (fleet.backends.nats.port(), seed.bus());
    let taken_over = tokio::task::spawn_blocking(move || RawClient::as_user(port, &key).unwrap()).await.unwrap();
    send(&fleet, json!({"type": "bar_node", "id": "n-1"})).await;
    let barred = Instant::now();
    let until_cut = tokio::task::spawn_blocking(move || {
        let mut client = taken_over;
        while !client.settle().iter().any(|error| error == "closed") {
            std::thread::sleep(Duration::from_millis(5));
        }
        barred.elapsed()
    });
    let until_cut = until_cut.await.unwrap();
    println!("a barred node was cut off {} ms after the answer to the command", until_cut.as_millis());
    assert!(until_cut < Duration::from_secs(1), "{until_cut:?}");
    assert!(!is_let_in(&fleet, &seed.bus()).await);
    let lost = |fleet: &Fleet, node: &str| fleet.agents[node].process.log().contains("connection to NATS lost");
    eventually("the agent is cut off, too", CONVERGED_WITHIN, async || {
        if lost(&fleet, "n-1") { Ok(()) } else { Err(fleet.agents["n-1"].process.log()) }
    })
    .await;
    assert!(!lost(&fleet, "n-2"), "another node stays");
    // What it says by other ways counts no more either.
    let before = fleet.api().get("/v1/nodes/n-1").await.unwrap().body["reported"]["seq"].clone();
    let link = relay(&fleet).await;
    report(&link, "n-1", 99, 1, Some(&seed.say())).await;
    // It comes back with other keys, once it was retired.
    let keys = json!({"commands": [{"type": "set_node_keys", "id": "n-1", "keys": seed.keys()}]});
    assert_eq!(fleet.api().post(&keys, None).await.unwrap().code(), "node_barred");
    assert_eq!(fleet.api().get("/v1/nodes/n-1").await.unwrap().body["reported"]["seq"], before);
    assert!(fleet.agents.get_mut("n-1").unwrap().process.stop().await);
    std::fs::remove_file(fleet.node_dir("n-1").join("node.seed")).unwrap();
    send(&fleet, json!({"type": "retire_node", "id": "n-1"})).await;
    let put = json!({"type": "put_document", "id": "a", "path": "a", "media_type": "text/plain", "content": "back",
        "target": {"all": true}, "priority": 0});
    send(&fleet, put).await;
    fleet.node("n-1", json!({})).await;
    let tree = [("files/a".to_owned(), b"back".to_vec())];
    fleet.converges(&["n-1", "n-2"].map(|node| (node.to_owned(), tree.clone().into())).into()).await;
}

/// Writes a report in a node's name, from the account of the servers: whoever runs NATS can do that.
async fn report(link: &Link, node: &str, boot_no: u64, seq: u64, say: Option<&SecretKey>) {
    let blank = Reported::blank(node.parse().unwrap(), format!("boot {boot_no}"), "forger/1".into());
    publish(link, &Reported { boot_no: Some(boot_no), seq, ..blank }, say).await;
}

/// Writes this report to the key of its node.
async fn publish(link: &Link, reported: &Reported, say: Option<&SecretKey>) {
    let (node, message) = (reported.node.as_str(), reported.write());
    let mut headers = async_nats::HeaderMap::new();
    if let Some(say) = say {
        headers.insert(SIGNATURE_HEADER, Statement::Report.sign(say, &message));
    }
    let subject = Prefix::default().bucket_subject(Bucket::Reported, node);
    link.jetstream().publish_with_headers(subject, headers, message.into()).await.unwrap().await.unwrap();
}

/// The agent that the server takes the node's last report from.
async fn reporter(fleet: &Fleet, node: &str) -> String {
    let shown = fleet.api().get(&format!("/v1/nodes/{node}")).await.unwrap();
    shown.body["reported"]["agent"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_counts_only_from_its_node_and_only_once() {
    let mut fleet = Fleet::with_identities().await;
    fleet.node("n-1", json!({})).await;
    shows(&fleet, "n-1", "converged").await;
    let (link, seed) = (relay(&fleet).await, fleet.seed("n-1"));
    let subject = Prefix::default().bucket_subject(Bucket::Reported, "n-1");
    let stream = link.jetstream().get_stream("KV_cfg_reported").await.unwrap();
    let heard = stream.direct_get_last_for_subject(&subject).await.unwrap();
    let said = Reported::read(&heard.payload).unwrap();
    assert!(fleet.agents.get_mut("n-1").unwrap().process.stop().await);
    let ignored = async |why: &str| {
        eventually(&format!("a report is ignored: {why}"), CONVERGED_WITHIN, async || {
            let metrics = fleet.api().get("/metrics").await?.body.as_str().unwrap_or_default().to_owned();
            let name = format!("headwater_reports_passed_over_total{{why=\"{why}\"}}");
            if metrics.contains(&name) { Ok(()) } else { Err(metrics) }
        })
        .await;
        assert!(reporter(&fleet, "n-1").await.starts_with("headwater/"), "{why}");
    };
    report(&link, "n-1", 99, 1, None).await;
    ignored("unsigned").await;
    report(&link, "n-1", 99, 1, Some(&SecretKey::from_seed(&[1; 32]))).await;
    ignored("bad_signature").await;
    // The key that signs by the number of an earlier boot, and what the node itself has said, sent once more.
    report(&link, "n-1", said.boot_no.unwrap() - 1, 1_000, Some(&seed.say())).await;
    ignored("old").await;
    link.jetstream()
        .publish_with_headers(subject, heard.headers.clone(), heard.payload.clone())
        .await
        .unwrap()
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let shown = fleet.api().get("/v1/nodes/n-1").await.unwrap();
    assert_eq!(shown.body["reported"]["seq"], said.seq);
    // The next boot of the node counts, whatever its clock says, and although a higher number stands in NATS.
    report(&link, "n-1", 500, 1, Some(&seed.say())).await;
    eventually("the higher number counts", CONVERGED_WITHIN, async || {
        let agent = reporter(&fleet, "n-1").await;
        if agent == "forger/1" { Ok(()) } else { Err(agent) }
    })
    .await;
    std::fs::write(fleet.backends.dir.path().join("edge-n-1.clock"), "-1700000000").unwrap();
    fleet.start_agent("n-1");
    shows(&fleet, "n-1", "converged").await;
    // The server may still show what it heard before the agent was started.
    eventually("one more than the last report in NATS", CONVERGED_WITHIN, async || {
        let text = std::fs::read(fleet.node_dir("n-1").join("state.json")).map_err(|error| error.to_string())?;
        let state: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        if state["boot_no"] == 501 { Ok(()) } else { Err(state["boot_no"].to_string()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_of_an_older_boot_counts_for_nothing_with_the_server_that_takes_over_either() {
    let mut fleet = Fleet::with_identities().await;
    fleet.node("n-1", json!({})).await;
    shows(&fleet, "n-1", "converged").await;
    let (link, seed) = (relay(&fleet).await, fleet.seed("n-1"));
    assert!(fleet.agents.get_mut("n-1").unwrap().process.stop().await);
    // It runs nothing, as this report says, so that the log takes it, and its number with it.
    report(&link, "n-1", 500, 7, Some(&seed.say())).await;
    let noted = async |api: &HttpApi| {
        let events = api.get("/v1/events?entity=report%2Fn-1&limit=1000").await?;
        Ok::<_, String>(events.body["items"].as_array().map_or(0, Vec::len))
    };
    eventually("the log has the report", CONVERGED_WITHIN, async || {
        let reports = noted(fleet.api()).await?;
        if reports >= 2 { Ok(()) } else { Err(format!("{reports} reports")) }
    })
    .await;
    let reports = noted(fleet.api()).await.unwrap();
    // Only the log has the number: the server that heard it is killed, and NATS has an older report in its place.
    fleet.servers[0].process.kill();
    let failing = Reported::blank("n-1".parse().unwrap(), "boot 499".into(), "forger/1".into());
    let failing = Reported { boot_no: Some(499), seq: 1_000, drift: vec!["files/a".into()], ..failing };
    publish(&link, &failing, Some(&seed.say())).await;
    fleet.serve("all").await;
    let api = &fleet.servers[1].api;
    eventually("the other server ignores it", CONVERGED_WITHIN, async || {
        let metrics = api.get("/metrics").await?.body.as_str().unwrap_or_default().to_owned();
        if metrics.contains("headwater_reports_passed_over_total{why=\"old\"}") { Ok(()) } else { Err(metrics) }
    })
    .await;
    // A later one counts, and it is the next in the log.
    report(&link, "n-1", 501, 1, Some(&seed.say())).await;
    eventually("a later one counts", CONVERGED_WITHIN, async || {
        let shown = api.get("/v1/nodes/n-1").await?;
        if shown.body["reported"]["boot"] == "boot 501" { Ok(()) } else { Err(format!("{shown:?}")) }
    })
    .await;
    assert_eq!(noted(api).await.unwrap(), reports, "nothing that the older one said is in the log");
}

pub(crate) async fn token(fleet: &Fleet, node: Option<&str>, uses: u32) -> JoinLine {
    let url: ServerUrl = fleet.api().url().parse().unwrap();
    let client = ApiClient::new(url, fleet.token().parse().unwrap()).unwrap();
    let nats = NatsPlace { url: fleet.backends.nats_url(), prefix: "cfg".into(), ca: None };
    let node: Option<NodeId> = node.map(|node| node.parse().unwrap());
    let asked = JoinTokenRequest { node, labels: [("site".to_owned(), "lund".to_owned())].into(), uses, for_s: 600 };
    join_token::create(&client, &nats, asked).await.unwrap()
}

/// Runs `headwater edge join` in a folder of the node; gives its exit code and what it said.
pub(crate) async fn join(fleet: &Fleet, line: &JoinLine, node: &str, folder: &str) -> (Option<i32>, String) {
    join_within(fleet, line, node, folder, "20").await
}

/// The same, in so many seconds.
async fn join_within(fleet: &Fleet, line: &JoinLine, node: &str, folder: &str, seconds: &str) -> (Option<i32>, String) {
    let mut command = tokio::process::Command::new(programs::headwater());
    command
        .kill_on_drop(true)
        .args(["edge", "join", "--node", node, "--timeout-s", seconds, "--dir"])
        .arg(fleet.node_dir(folder));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stdin, line.to_text().as_bytes()).await.unwrap();
    drop(stdin);
    let ended = child.wait_with_output().await.unwrap();
    (ended.status.code(), String::from_utf8([ended.stdout, ended.stderr].concat()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_lets_in_as_many_nodes_as_it_says_also_of_those_that_come_at_once() {
    let fleet = Fleet::with_identities().await;
    let line = token(&fleet, None, 5).await;
    let names: Vec<String> = (0..64).map(|number| format!("r-{number}")).collect();
    let joined = futures::future::join_all(names.iter().map(|node| join(&fleet, &line, node, node))).await;
    let (let_in, others): (Vec<_>, Vec<_>) = joined.iter().zip(&names).partition(|((code, _), _)| *code == Some(0));
    assert_eq!(let_in.len(), 5, "{joined:?}");
    assert!(others.iter().all(|((code, said), _)| *code == Some(1) && said.contains("join_token_ended")), "{others:?}");
    let listed = fleet.api().get("/v1/join-tokens").await.unwrap();
    assert_eq!((&listed.body["items"][0]["state"], &listed.body["items"][0]["used"]), (&json!("used"), &json!(5)));
    // An answer may have been lost: the same node is let in again, another machine under its name is not.
    let again = let_in[0].1;
    assert_eq!(join(&fleet, &line, again, again).await.0, Some(0));
    let (code, said) = join(&fleet, &line, again, "another-machine").await;
    assert!(code == Some(1) && said.contains("join_token_ended"), "{said}");
    let shown = fleet.api().get(&format!("/v1/nodes/{again}")).await.unwrap();
    assert_eq!(shown.body["labels"], json!({"site": "lund"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_that_is_killed_at_any_moment_is_finished_by_the_same_command() {
    let fleet = Fleet::with_identities().await;
    let line = token(&fleet, None, 1).await;
    for millis in [0, 10, 20, 40, 60, 80, 120, 200] {
        let killed = join(&fleet, &line, "n-1", "n-1");
        let _ = tokio::time::timeout(Duration::from_millis(millis), killed).await;
    }
    let (code, said) = join(&fleet, &line, "n-1", "n-1").await;
    assert_eq!(code, Some(0), "{said}");
    let listed = fleet.api().get("/v1/join-tokens").await.unwrap();
    assert_eq!(listed.body["items"][0]["used"], 1, "once, however often it was asked");
    assert!(is_let_in(&fleet, &fleet.seed("n-1").bus()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_a_node_brings_another_machine_in_its_place_and_an_ended_one_nobody() {
    let mut fleet = Fleet::with_identities().await;
    fleet.node("n-1", json!({})).await;
    shows(&fleet, "n-1", "converged").await;
    let (any, own) = (token(&fleet, None, 1).await, token(&fleet, Some("n-1"), 1).await);
    let (code, said) = join(&fleet, &any, "n-1", "thief").await;
    assert!(code == Some(1) && said.contains("already_enrolled"), "{said}");
    assert!(!fleet.node_dir("thief").join("state.json").exists(), "the folder belongs to nobody yet");
    assert_eq!(join(&fleet, &any, "n-9", "thief").await.0, Some(0), "under another id it may");
    let (code, said) = join(&fleet, &own, "n-2", "n-2").await;
    assert!(code == Some(1) && said.contains("for node n-1"), "{said}");
    let old = fleet.seed("n-1").bus();
    assert_eq!(join(&fleet, &own, "n-1", "new-machine").await.0, Some(0));
    assert!(!is_let_in(&fleet, &old).await, "the old machine is out");
    assert!(is_let_in(&fleet, &fleet.seed("new-machine").bus()).await);
    send(&fleet, json!({"type": "revoke_join_token", "id": any.token})).await;
    let (code, said) = join(&fleet, &any, "n-3", "n-3").await;
    assert!(code == Some(3) && said.contains("does not let this key in"), "{said}");
    assert!(!is_let_in(&fleet, &SecretKey::from_seed(&any.seed)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nobody_answers_live_nodes_stay_and_new_ones_come_in_afterwards() {
    let mut fleet = Fleet::with_identities().await;
    for node in ["n-1", "n-2"] {
        fleet.node(node, json!({})).await;
    }
    for node in ["n-1", "n-2"] {
        shows(&fleet, node, "converged").await;
    }
    let line = token(&fleet, None, 1).await;
    assert!(fleet.agents.get_mut("n-2").unwrap().process.stop().await);
    fleet.servers[0].process.kill();
    fleet.start_agent("n-2");
    let (code, said) = join_within(&fleet, &line, "n-3", "n-3", "8").await;
    let (_, why) = said.split_once("no answer within 8 s: ").expect(&said);
    assert!(code == Some(3) && why.contains("no server of Headwater answers") && why.contains("--bus-dir"), "{said}");
    assert!(!why.contains("Does NATS run there"), "{said}");
    let refused = fleet.node_dir("n-2").join("nats-refused.json");
    assert!(!refused.exists(), "that nobody answers is no refusal of this node");
    let lost = fleet.agents["n-1"].process.log().contains("connection to NATS lost");
    assert!(!lost, "a node that is there stays");
    fleet.servers[0].process.start_again();
    fleet.servers[0].api.ready().await;
    let answering = Instant::now();
    shows(&fleet, "n-2", "converged").await;
    println!("in {} ms after a server answered again", answering.elapsed().as_millis());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seed_of_a_node_is_in_its_folder_and_nowhere_else() {
    let mut fleet = Fleet::with_identities().await;
    let line = token(&fleet, None, 1).await;
    assert_eq!(join(&fleet, &line, "n-1", "n-1").await.0, Some(0));
    fleet.start_agent("n-1");
    shows(&fleet, "n-1", "converged").await;
    let seed = std::fs::read_to_string(fleet.node_dir("n-1").join("node.seed")).unwrap();
    let bytes = hex::decode(seed.trim()).unwrap();
    let secret = fleet.seed("n-1").bus_seed_text();
    let needles = [seed.trim().as_bytes().to_vec(), bytes, secret.into_bytes()];
    let found =
        std::process::Command::new("find").arg(fleet.backends.dir.path()).args(["-type", "f"]).output().unwrap();
    let mut holders = Vec::new();
    for path in String::from_utf8(found.stdout).unwrap().lines() {
        let content = std::fs::read(path).unwrap_or_default();
        if needles.iter().any(|needle| content.windows(needle.len()).any(|window| window == needle.as_slice())) {
            holders.push(path.to_owned());
        }
    }
    assert_eq!(holders, [fleet.node_dir("n-1").join("node.seed").display().to_string()]);
}
