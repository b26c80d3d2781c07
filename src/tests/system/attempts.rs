//! What a node that was taken over tries with its own credentials, all of them.

use std::collections::BTreeMap;
use std::time::Duration;

use bus::connect::{Link, connect_as};
use bus::identity::BusIdentity;
use schema::address::{Bucket, Prefix};
use schema::digest::Digest;
use schema::id::LogId;
use schema::object::{ObjectName, ObjectSecret};
use serde_json::json;
use testkit::eventually::eventually;
use testkit::fleet::{CONVERGED_WITHIN, Fleet};
use testkit::raw_nats::RawClient;

/// What n-1 may not publish to, whatever is in it.
const PUBLISHED: &[&str] = &[
    "$KV.cfg_reported.n-2",
    "$KV.cfg_reported.x",
    "$KV.cfg_desired.n-1",
    "$KV.cfg_desired.n-2",
    "$KV.cfg_keys.k",
    "$KV.cfg_checkpoint.newest",
    "$KV.cfg_verdict.n-1.p0",
    "$KV.cfg_proposed.n-2.p0",
    "$KV.cfg_proposed.n-1.p8",
    "$KV.cfg_proposed.n-1.p00",
    "$O.cfg_blobs.C.x",
    "$O.cfg_blobs.M.x",
    "cfg.events.node.n-1.NodeRetired",
    "cfg.strays.1",
    "cfg.rpc.n-2.claim",
    "cfg.rpc.n-2.complete",
    "cfg.rpc.n-1.drop",
    "cfg.join.t-1",
    "_INBOX.x",
    "_INBOX_n-2.x",
    "_R_.x",
    "$JS.ACK.cfg_events.c.1.1.1.1.1",
    "$JS.FC.KV_cfg_desired.x",
    "$JS.API.INFO",
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.LIST",
    "$JS.API.STREAM.INFO.cfg_events",
    "$JS.API.STREAM.INFO.KV_cfg_desired",
    "$JS.API.STREAM.CREATE.mine",
    "$JS.API.STREAM.UPDATE.KV_cfg_desired",
    "$JS.API.STREAM.DELETE.KV_cfg_desired",
    "$JS.API.STREAM.PURGE.KV_cfg_reported",
    "$JS.API.STREAM.MSG.GET.KV_cfg_desired",
    "$JS.API.STREAM.MSG.DELETE.KV_cfg_reported",
    "$JS.API.STREAM.SNAPSHOT.cfg_events",
    "$JS.API.CONSUMER.NAMES.KV_cfg_desired",
    "$JS.API.CONSUMER.LIST.cfg_events",
    "$JS.API.CONSUMER.CREATE.cfg_events",
    "$JS.API.CONSUMER.CREATE.KV_cfg_desired",
    "$JS.API.CONSUMER.CREATE.KV_cfg_desired.c.$KV.cfg_desired.n-1",
    "$JS.API.CONSUMER.CREATE.KV_cfg_desired.c.$KV.cfg_desired.n-2",
    "$JS.API.CONSUMER.DURABLE.CREATE.KV_cfg_desired.c",
    "$JS.API.CONSUMER.MSG.NEXT.KV_cfg_desired.c",
    "$JS.API.DIRECT.GET.cfg_events",
    "$JS.API.DIRECT.GET.cfg_events.cfg.events.>",
    "$JS.API.DIRECT.GET.KV_cfg_desired",
    "$JS.API.DIRECT.GET.KV_cfg_desired.$KV.cfg_desired.n-2",
    "$JS.API.DIRECT.GET.KV_cfg_desired.$KV.cfg_desired.*",
    "$JS.API.DIRECT.GET.KV_cfg_desired.$KV.cfg_desired.>",
    "$JS.API.DIRECT.GET.KV_cfg_reported",
    "$JS.API.DIRECT.GET.KV_cfg_reported.$KV.cfg_reported.n-2",
    "$JS.API.DIRECT.GET.KV_cfg_verdict.$KV.cfg_verdict.n-2.p0",
    "$JS.API.DIRECT.GET.KV_cfg_proposed.$KV.cfg_proposed.n-2.p0",
    "$JS.API.META.LEADER.STEPDOWN",
    "$JS.API.ACCOUNT.PURGE.CFG",
    "$SYS.REQ.SERVER.PING",
    "$SYS.REQ.SERVER.PING.CONNZ",
    "$SYS.REQ.ACCOUNT.NODES.CONNS",
    "$SYS.REQ.USER.AUTH",
    "$SRV.PING",
];

/// What n-1 may not subscribe to.
const HEARD: &[&str] = &[
    ">",
    "*",
    "*.>",
    "$KV.>",
    "$KV.cfg_desired.>",
    "$KV.cfg_desired.*",
    "$KV.cfg_desired.n-2",
    "$KV.cfg_reported.>",
    "$KV.cfg_proposed.>",
    "$O.>",
    "cfg.>",
    "cfg.rpc.>",
    "cfg.join.*",
    "_INBOX.>",
    "_INBOX.*",
    "_INBOX_n-2.>",
    "_R_.>",
    "_LOBBY.>",
    "$JS.>",
    "$JS.EVENT.ADVISORY.>",
    "$SYS.>",
    "$SRV.>",
];

/// Where n-1 wants the answer to its own report, which it may write.
const ANSWERED: &[&str] = &[
    "cfg.events.node.n-1.NodeRetired",
    "cfg.strays.1",
    "$KV.cfg_desired.n-2",
    "$KV.cfg_reported.n-2",
    "$KV.cfg_keys.k",
    "$KV.cfg_checkpoint.newest",
    "$O.cfg_blobs.C.x",
    "$JS.API.STREAM.PURGE.KV_cfg_desired",
    "$JS.API.STREAM.DELETE.KV_cfg_desired",
    "cfg.rpc.n-2.claim",
];

/// The number of messages and the last sequence of each stream.
async fn streams(link: &Link) -> BTreeMap<String, (u64, u64)> {
    let (prefix, mut found) = (Prefix::default(), BTreeMap::new());
    let buckets = Bucket::ALL.map(|bucket| prefix.bucket_stream(bucket));
    for name in buckets.into_iter().chain([prefix.event_stream(), prefix.blob_stream()]) {
        let stream = link.jetstream().get_stream(&name).await.unwrap();
        let state = &stream.cached_info().state;
        found.insert(name, (state.messages, state.last_sequence));
    }
    found
}

/// The streams once the log has noted what nodes did: for 3 s none but this one takes anything.
async fn at_rest(link: &Link, but: &str) -> BTreeMap<String, (u64, u64)> {
    let mut last = BTreeMap::new();
    eventually("the streams are at rest", CONVERGED_WITHIN, async || {
        let before = streams(link).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        last = streams(link).await;
        let moved: Vec<&String> = last.keys().filter(|name| *name != but && last[*name] != before[*name]).collect();
        if moved.is_empty() { Ok(()) } else { Err(format!("{moved:?} took something")) }
    })
    .await;
    last
}

async fn relay(fleet: &Fleet) -> Link {
    let identity = BusIdentity::load(&fleet.backends.bus().join("relay.nk")).unwrap();
    let link = connect_as(&fleet.backends.nats_url(), &identity, "test").await.unwrap();
    link.up().await;
    link
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_does_what_it_must_and_nothing_else() {
    let mut fleet = Fleet::with_identities().await;
    for node in ["n-1", "n-2"] {
        fleet.node(node, json!({})).await;
    }
    let large = "x".repeat(300_000);
    let put = json!({"type": "put_document", "id": "a", "path": "a", "media_type": "text/plain", "content": large,
        "target": {"all": true}, "priority": 0});
    fleet.api().accepted(json!({"commands": [put]})).await;
    let want =
        ["n-1", "n-2"].map(|node| (node.to_owned(), [("files/a".to_owned(), large.clone().into_bytes())].into()));
    fleet.converges(&want.into()).await;
    // What the agent must do it has done; from here on somebody else has its credentials. The other node goes on.
    let seed = fleet.seed("n-1");
    assert!(fleet.agents.get_mut("n-1").unwrap().process.stop().await);
    let centre = relay(&fleet).await;
    let own = Prefix::default().bucket_stream(Bucket::Reported);
    let before = at_rest(&centre, &own).await;
    let port = fleet.backends.nats.port();
    let (tried, refused) = tokio::task::spawn_blocking(move || attempt_all(port, &seed.bus())).await.unwrap();
    println!("{tried} attempts of a node with all of its own credentials, {refused} refused");
    assert_eq!(tried, refused);
    let mut after = streams(&centre).await;
    // Its own report is what it may write; the other node goes on writing its own.
    assert_eq!(after[&own].0, before[&own].0, "no other key was made");
    after.insert(own.clone(), before[&own]);
    assert_eq!(after, before, "no stream took anything");
    let other = fleet.api().get("/v1/nodes/n-2").await.unwrap().body;
    assert_eq!((&other["state"], &other["reported"]["attempt"]["state"]), (&json!("converged"), &json!("applied")));
    assert!(!fleet.agents["n-2"].process.log().contains("refused"), "{}", fleet.agents["n-2"].process.log());
    eventually("the server is well", CONVERGED_WITHIN, async || {
        let ready = fleet.api().get("/readyz").await?;
        if ready.status == 200 { Ok(()) } else { Err(format!("{ready:?}")) }
    })
    .await;
}

/// Tries everything, and counts.
pub(crate) fn attempt_all(port: u16, key: &schema::seal::SecretKey) -> (usize, usize) {
    let mut client = RawClient::as_user(port, key).unwrap();
    let (mut tried, mut refused) = (0, 0);
    let mut count = |what: &str, errors: &[String]| {
        tried += 1;
        match errors.iter().any(|error| error.contains("Permissions Violation")) {
            true => refused += 1,
            false => println!("not refused: {what}: {errors:?}"),
        }
    };
    for subject in PUBLISHED {
        count(subject, &client.publish(subject, Some("_INBOX_n-1.x"), "", b"{}"));
        count(subject, &client.publish(subject, None, "Nats-Rollup: all\r\n", b"{}"));
    }
    for (number, subject) in HEARD.iter().enumerate() {
        count(subject, &client.subscribe(subject, number + 1));
    }
    assert!(client.subscribe("_INBOX_n-1.>", 1_000).is_empty(), "its own inbox");
    for answered in ANSWERED {
        // NATS takes the report, as it is the node's own; the answer must reach nothing of the centre. The caller compares.
        assert_eq!(client.publish("$KV.cfg_reported.n-1", Some(answered), "", b"junk"), [""; 0], "{answered}");
    }
    // The other node hears what it has sent there, and believes none of it.
    for _ in 0..50 {
        let own = "$JS.API.DIRECT.GET.KV_cfg_reported.$KV.cfg_reported.n-1";
        assert_eq!(client.publish(own, Some("$KV.cfg_desired.n-2"), "", b""), [""; 0]);
    }
    for header in
        ["Nats-Rollup: all\r\n", "Nats-Rollup: sub\r\n", "Nats-TTL: 1s\r\n", "Nats-Trace-Dest: cfg.events.x\r\n"]
    {
        client.publish("$KV.cfg_reported.n-1", Some("_INBOX_n-1.x"), header, b"junk");
    }
    (tried, refused)
}

/// How n-1 asks for content of the object store, which it may read: by sequence, by subject, many at once.
fn questions(last: u64) -> Vec<(&'static str, String)> {
    const ANY: &str = "$JS.API.DIRECT.GET.OBJ_cfg_blobs";
    let mut questions: Vec<(&str, String)> = (1..=last).map(|seq| (ANY, json!({"seq": seq}).to_string())).collect();
    for subject in ["$O.cfg_blobs.>", "$O.cfg_blobs.C.>", "$O.cfg_blobs.M.>", "$O.cfg_blobs.M.*", ">"] {
        questions.extend([
            (ANY, json!({"last_by_subj": subject}).to_string()),
            (ANY, json!({"seq": 1, "next_by_subj": subject}).to_string()),
            (ANY, json!({"seq": 1, "batch": 1_000, "next_by_subj": subject}).to_string()),
            (ANY, json!({"batch": 1_000, "multi_last": [subject]}).to_string()),
        ]);
    }
    questions.push(("$JS.API.DIRECT.GET.OBJ_cfg_blobs.$O.cfg_blobs.M.*", String::new()));
    questions
}

/// Asks, and gives everything that NATS answered: subjects, headers and payloads.
fn answers(client: &mut RawClient, questions: &[(&str, String)]) -> Vec<Vec<u8>> {
    for (subject, question) in questions {
        assert_eq!(client.publish(subject, Some("_INBOX_n-1.x"), "", question.as_bytes()), [""; 0], "it may ask");
    }
    let since = std::time::Instant::now();
    // Each question has at least one answer.
    while client.heard.len() < questions.len() && since.elapsed() < CONVERGED_WITHIN {
        std::thread::sleep(Duration::from_millis(20));
        client.settle();
    }
    assert!(client.heard.len() >= questions.len(), "{} answers to {}", client.heard.len(), questions.len());
    client.heard.drain(..).map(|(_, answer)| answer).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_reads_no_content_that_only_others_desire() {
    let mut fleet = Fleet::with_identities().await;
    for node in ["n-1", "n-2"] {
        fleet.node(node, json!({})).await;
    }
    let secret: String = std::iter::repeat_with(fastrand::alphanumeric).take(300_000).collect();
    let put = |id: &str, content: &str, node: &str| {
        json!({"type": "put_document", "id": id, "path": id, "media_type": "text/plain", "content": content,
            "target": {"nodes": [node]}, "priority": 0})
    };
    let own = "own ".repeat(5_000);
    fleet.api().accepted(json!({"commands": [put("secret", &secret, "n-2"), put("own", &own, "n-1")]})).await;
    let tree = |path: &str, content: &str| [(format!("files/{path}"), content.as_bytes().to_vec())].into();
    let want = [("n-1".to_owned(), tree("own", &own)), ("n-2".to_owned(), tree("secret", &secret))];
    fleet.converges(&want.into()).await;
    let seed = fleet.seed("n-1");
    assert!(fleet.agents.get_mut("n-1").unwrap().process.stop().await);
    let last = streams(&relay(&fleet).await).await[&Prefix::default().blob_stream()].1;
    let log_id: LogId = fleet.api().get("/v1/log").await.unwrap().body["log_id"].as_str().unwrap().parse().unwrap();
    let port = fleet.backends.nats.port();
    let tried = tokio::task::spawn_blocking(move || {
        let mut client = RawClient::as_user(port, &seed.bus()).unwrap();
        assert!(client.subscribe("_INBOX_n-1.>", 1).is_empty());
        let questions = questions(last);
        let read = answers(&mut client, &questions);
        let count: usize = read.iter().map(Vec::len).sum();
        assert!(count > secret.len(), "it has read the ciphertext, {count} bytes");
        let has = |needle: &[u8]| read.iter().any(|answer| answer.windows(needle.len()).any(|window| window == needle));
        let digest = Digest::of(secret.as_bytes());
        let plain_name = digest.to_string();
        let bytes = secret.as_bytes();
        let needles = [&bytes[..24], &bytes[150_000..150_024], &bytes[299_976..]];
        assert!(!needles.iter().any(|needle| has(needle)), "its bytes are in nothing that was read");
        let meta = |name: ObjectName| Prefix::default().blob_meta_subject(name);
        let shown =
            [digest.as_bytes().as_slice(), plain_name.as_bytes(), meta(ObjectName::Plain(digest)).as_bytes()].map(has);
        assert_eq!(shown, [false; 3], "nor its digest, by which it could be decrypted");
        // Who guesses a whole content can confirm it, and no more than that: that is the price of one object for equal contents.
        let guess = |content: &str| ObjectSecret::of(log_id, Digest::of(content.as_bytes())).name();
        let finds = |client: &mut RawClient, name: ObjectName| {
            let question = format!("$JS.API.DIRECT.GET.OBJ_cfg_blobs.{}", meta(name));
            !String::from_utf8_lossy(&answers(client, &[(&question, String::new())])[0]).contains(" 404 ")
        };
        assert!(finds(&mut client, guess(&secret)), "a guess of all of it is confirmed");
        assert!(!finds(&mut client, guess(&secret[1..])), "a guess of a part is not");
        assert!(!finds(&mut client, ObjectName::Plain(digest)), "it does not stand in plain");
        questions.len() + 3
    });
    println!(
        "{} attempts of a node to read others' content: all answers are noise, a right guess is confirmed",
        tried.await.unwrap()
    );
}

/// The same report where everybody is in one account: the attempts can succeed, so that their failing means something.
#[tokio::test(flavor = "multi_thread")]
async fn in_one_account_the_answer_to_a_report_lands_among_the_events() {
    let fleet = Fleet::start().await;
    let link = bus::connect::connect(&fleet.backends.nats_url(), "test").await.unwrap();
    link.up().await;
    let events = Prefix::default().event_stream();
    let before = streams(&link).await[&events];
    let url = fleet.backends.nats_url();
    let (user, password) = url.strip_prefix("nats://").unwrap().split_once('@').unwrap().0.split_once(':').unwrap();
    let (user, password, port) = (user.to_owned(), password.to_owned(), fleet.backends.nats.port());
    let attempt = move || {
        let mut client = RawClient::greet(port, |_| json!({"user": user, "pass": password})).unwrap();
        client.publish("$KV.cfg_reported.n-1", Some("cfg.events.node.n-1.NodeRetired"), "", b"junk");
    };
    tokio::task::spawn_blocking(attempt).await.unwrap();
    eventually("the event stream has taken the answer", CONVERGED_WITHIN, async || {
        // The relay takes such a message out again, so the sequence tells.
        let after = streams(&link).await[&events];
        if after.1 > before.1 || after.0 > before.0 { Ok(()) } else { Err(format!("{before:?} {after:?}")) }
    })
    .await;
}
