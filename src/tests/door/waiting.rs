//! `headwater wait` against the door: it ends when the door judges so, and not before.

use std::process::{Output, Stdio};
use std::time::Duration;

use schema::report::{Attempt, AttemptState, RecordRef, Reported};
use serde_json::{Value, json};
use server::http::listener::{ConnectionLimits, HttpListener, serve};
use server::http::router::HttpLimits;
use tokio::process::{Child, Command};

use crate::ask::{AUDITOR, House, enrol, put};
use crate::states::report;

/// The program and the address of a door.
struct Waiter {
    url: String,
}

/// How a wait ended.
struct Ended {
    code: Option<i32>,
    said: String,
    complaint: String,
}

impl Ended {
    fn json(&self) -> Value {
        serde_json::from_str(&self.said).unwrap_or_else(|_| panic!("no JSON: {} {}", self.said, self.complaint))
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), said: text(output.stdout), complaint: text(output.stderr) }
    }
}

impl Waiter {
    async fn at(house: &House) -> Self {
        let listener = HttpListener::bind(([127, 0, 0, 1], 0).into(), None).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(serve(listener, house.router.clone(), ConnectionLimits::default(), house.closing.clone()));
        Self { url }
    }

    fn start(&self, arguments: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_headwater"))
            .args(["wait", "nodes"])
            .args(arguments)
            .env("HEADWATER_URL", &self.url)
            .env("HEADWATER_TOKEN", AUDITOR)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    async fn run(&self, arguments: &[&str]) -> Ended {
        self.start(arguments).wait_with_output().await.unwrap().into()
    }

    /// How a single look ends.
    async fn look(&self, arguments: &[&str]) -> Ended {
        self.run(&[arguments, &["--timeout", "0s"]].concat()).await
    }
}

/// A house with these nodes, none of which was heard yet, and one document for all.
async fn house_of(nodes: &[&str]) -> House {
    let house = House::new();
    house.done(nodes.iter().map(|node| enrol(node, json!({"site": "lund"}))).collect()).await;
    house.done(json!([put("d", "d", "1", json!({"all": true}))])).await;
    house
}

impl House {
    /// The node says that it runs what is desired of it.
    async fn converges(&self, node: &str) {
        let mark = self.desired(node).await;
        self.hear(report(node, Some(mark)), Duration::ZERO);
    }

    /// The node says that it tried a record in vain.
    fn fails(&self, node: &str, mark: RecordRef, state: AttemptState, code: &str) {
        let attempt = Attempt {
            position: mark.position,
            digest: mark.digest,
            state,
            code: Some(code.into()),
            detail: Some("asks for\n10850 V".into()),
            at: schema::instant::Instant::default(),
        };
        self.hear(Reported { attempt: Some(attempt), ..report(node, None) }, Duration::ZERO);
    }
}

#[tokio::test]
async fn a_wait_ends_when_every_node_runs_what_is_desired() {
    let house = house_of(&["n-1", "n-2"]).await;
    let waiter = Waiter::at(&house).await;
    house.converges("n-1").await;
    house.hear(report("n-2", None), Duration::ZERO);
    let early = waiter.look(&["n-1", "n-2", "n-1", "--for", "converged"]).await;
    assert_eq!((early.code, early.said.as_str()), (Some(3), ""), "{}", early.complaint);
    let lines: Vec<&str> = early.complaint.lines().collect();
    assert_eq!(lines[..2], ["headwater: 1 of 2 nodes converged within 0 s; these did not:", "  n-2: progressing"]);

    let waiting = waiter.start(&["n-1", "n-2"]);
    house.converges("n-2").await;
    let ended = Ended::from(waiting.wait_with_output().await.unwrap());
    assert_eq!((ended.code, ended.complaint.as_str()), (Some(0), ""));
    assert_eq!(ended.said, format!("2 of 2 nodes converged at position {}\n", house.position()));

    let json = waiter.look(&["n-1", "--json"]).await.json();
    let expected = json!({"outcome": "converged", "for": "converged", "position": house.position(), "nodes": 1,
        "converged": 1, "failed": [], "pending": [], "offline": [], "error": null});
    assert_eq!(json, expected);
}

#[tokio::test]
async fn a_failure_about_what_is_desired_now_ends_a_wait_at_once() {
    let house = house_of(&["n-1", "n-2"]).await;
    let waiter = Waiter::at(&house).await;
    let first = house.desired("n-1").await;
    for (state, code, name) in
        [(AttemptState::Failed, "check_rejected", "failed"), (AttemptState::Refused, "newer_format", "refused")]
    {
        house.fails("n-1", first, state, code);
        // n-2 was never heard, so that this would otherwise last.
        let ended = waiter.run(&["n-1", "n-2", "--timeout", "10m"]).await;
        assert_eq!((ended.code, ended.said.as_str()), (Some(1), ""));
        let lines: Vec<&str> = ended.complaint.lines().collect();
        assert_eq!(lines[0], "headwater: 1 of 2 nodes did not converge:");
        assert_eq!(lines[1], format!("  n-1: {name}: {code}: asks for 10850 V"));
        assert!(
            lines[2].contains(if name == "failed" { "headwater retry" } else { "upgrade the agent" }),
            "{}",
            lines[2]
        );
        let json = waiter.run(&["--all", "--json"]).await;
        assert_eq!(json.code, Some(1));
        let json = json.json();
        assert_eq!((&json["outcome"], &json["failed"][0]["id"]), (&json!("failed"), &json!("n-1")));
        assert_eq!(json["failed"][0]["reason"], json!({"code": code, "detail": "asks for\n10850 V"}));
    }
    // The same failure is about nothing any more once something else is desired, or the node may try again.
    house.done(json!([put("d", "d", "2", json!({"all": true}))])).await;
    assert_eq!(waiter.look(&["n-1"]).await.code, Some(3));
    house.fails("n-1", house.desired("n-1").await, AttemptState::Failed, "check_rejected");
    assert_eq!(waiter.look(&["n-1"]).await.code, Some(1));
    house.done(json!([{"type": "retry_node", "id": "n-1"}])).await;
    assert_eq!(waiter.look(&["n-1"]).await.code, Some(3));
}

#[tokio::test]
async fn an_offline_node_is_ignored_and_named_or_waited_for_or_a_failure() {
    let house = house_of(&["n-1", "n-2"]).await;
    let waiter = Waiter::at(&house).await;
    house.converges("n-1").await;
    let mark = house.desired("n-2").await;
    house.hear(report("n-2", Some(mark)), Duration::from_secs(31));

    let ignoring = waiter.look(&["--all"]).await;
    let said = format!("1 of 2 nodes converged at position {}\noffline, and not waited for: n-2\n", house.position());
    assert_eq!((ignoring.code, ignoring.said), (Some(0), said));
    let json = waiter.look(&["--all", "--json", "--offline", "ignore"]).await.json();
    assert_eq!((&json["converged"], &json["offline"][0]["reason"]["code"]), (&json!(1), &json!("silent")));
    assert!(json["offline"][0]["silence_ms"].as_u64().unwrap() >= 31_000, "{json}");

    let failing = waiter.run(&["--all", "--offline", "fail", "--timeout", "10m"]).await;
    assert_eq!(failing.code, Some(1));
    assert!(failing.complaint.contains("\n  n-2: offline: silent: "), "{}", failing.complaint);

    let waiting = ["--all", "--offline", "wait"];
    let early = waiter.look(&waiting).await;
    assert!(early.code == Some(3) && early.complaint.contains("\n  n-2: offline: silent: "), "{}", early.complaint);
    let waiting = waiter.start(&waiting);
    house.converges("n-2").await;
    assert_eq!(Ended::from(waiting.wait_with_output().await.unwrap()).code, Some(0));
}

#[tokio::test]
async fn what_is_not_there_yet_is_waited_for() {
    let house = house_of(&["n-1"]).await;
    let waiter = Waiter::at(&house).await;
    house.converges("n-1").await;
    let early = waiter.look(&["n-1", "n-9", "--json"]).await;
    assert_eq!(early.code, Some(3));
    assert_eq!(early.json()["pending"], json!([{"id": "n-9", "state": null, "reason": null, "silence_ms": null}]));
    assert!(early.complaint.contains("\n  n-9: not enrolled\n"), "{}", early.complaint);
    for none in ["site=malmo", "site!=lund", "!site"] {
        let nobody = waiter.look(&["-l", none]).await;
        assert!(nobody.code == Some(3) && nobody.complaint.contains("no such node"), "{none}: {}", nobody.complaint);
    }

    let named = waiter.start(&["n-1", "n-9"]);
    let labelled = waiter.start(&["-l", "site in (malmo)"]);
    house.done(json!([enrol("n-9", json!({"site": "malmo"}))])).await;
    let unknown = waiter.look(&["n-9"]).await;
    assert!(unknown.complaint.contains("\n  n-9: unknown: never_heard: "), "{}", unknown.complaint);
    house.converges("n-9").await;
    for waiting in [named, labelled] {
        let ended = Ended::from(waiting.wait_with_output().await.unwrap());
        assert_eq!(ended.code, Some(0), "{}", ended.complaint);
    }
}

#[tokio::test]
async fn labels_select_and_who_is_retired_is_left_out() {
    let house = house_of(&["n-1", "n-2", "n-3"]).await;
    let waiter = Waiter::at(&house).await;
    house
        .done(json!([{"type": "label_node", "id": "n-2", "labels": {"site": "lund", "spare": "yes"}},
        {"type": "retire_node", "id": "n-3"}]))
        .await;
    house.converges("n-1").await;
    for (selector, code) in
        [("site=lund", 3), ("site=lund,!spare", 0), ("spare notin (yes)", 0), ("spare", 3), ("site in (lund,malmo)", 3)]
    {
        assert_eq!(waiter.look(&["-l", selector]).await.code, Some(code), "{selector}");
    }
    house.converges("n-2").await;
    let all = waiter.look(&["--all", "--json"]).await;
    assert_eq!((all.code, &all.json()["nodes"]), (Some(0), &json!(2)));
    // A retired node has a record, too, which it can be waited for to run.
    assert_eq!(waiter.look(&["n-3"]).await.code, Some(3));
    house.converges("n-3").await;
    assert_eq!(waiter.look(&["n-3"]).await.code, Some(0));
}

#[tokio::test]
async fn after_a_request_the_nodes_that_it_concerned_are_waited_for() {
    let house = house_of(&["n-1", "n-2"]).await;
    let waiter = Waiter::at(&house).await;
    house.converges("n-1").await;
    let answer = house.done(json!([put("more", "more", "1", json!({"nodes": ["n-1"]}))])).await;
    let (request, position) = (answer["command_id"].as_str().unwrap(), answer["position"].to_string());
    for named in [request, &position] {
        let early = waiter.look(&["--command", named]).await;
        assert_eq!(early.code, Some(3), "what ran before is not what is waited for");
        assert!(early.complaint.contains("  n-1: progressing"), "{}", early.complaint);
    }
    house.converges("n-1").await;
    // n-2 was never heard, and the request is none of its business.
    let ended = waiter.look(&["--command", request, "--json"]).await;
    assert_eq!((ended.code, &ended.json()["nodes"]), (Some(0), &json!(1)));

    let retried = house.done(json!([{"type": "retry_node", "id": "n-2"}])).await;
    let retried = waiter.look(&["--command", retried["command_id"].as_str().unwrap()]).await;
    assert!(retried.complaint.contains("  n-2: unknown"), "a record with the same files counts: {}", retried.complaint);
    let nobody = house.done(json!([put("none", "none", "1", json!({"nodes": ["n-9"]}))])).await;
    let nobody = waiter.look(&["--command", nobody["command_id"].as_str().unwrap()]).await;
    assert_eq!(
        (nobody.code, nobody.said),
        (Some(0), format!("0 of 0 nodes converged at position {}\n", house.position()))
    );

    let unknown = ["--command", "0198b0a2-0000-7000-8000-000000000000", "--min-position", &position];
    let unknown = waiter.run(&unknown).await;
    assert!(unknown.code == Some(1) && unknown.complaint.contains("unknown_command"), "{}", unknown.complaint);
}

#[tokio::test]
async fn a_request_that_this_server_has_not_seen_yet_is_waited_for() {
    let house = house_of(&["n-1"]).await;
    let waiter = Waiter::at(&house).await;
    let next = (house.position() + 1).to_string();
    let waiting = waiter.start(&["--command", &next]);
    house.done(json!([put("d", "d", "2", json!({"all": true}))])).await;
    house.converges("n-1").await;
    let ended = Ended::from(waiting.wait_with_output().await.unwrap());
    assert_eq!((ended.code, ended.said), (Some(0), format!("1 of 1 node converged at position {next}\n")));
}

#[tokio::test]
async fn nothing_older_than_what_the_caller_wrote_is_converged() {
    let house = House::with(HttpLimits { position_wait: Duration::from_millis(50), ..HttpLimits::default() });
    house.done(json!([enrol("n-1", json!({})), put("d", "d", "1", json!({"all": true}))])).await;
    let waiter = Waiter::at(&house).await;
    house.converges("n-1").await;
    assert_eq!(waiter.look(&["n-1"]).await.code, Some(0));
    let next = (house.position() + 1).to_string();
    let after = ["n-1", "--min-position", &next];
    let early = waiter.look(&after).await;
    assert!(early.code == Some(3) && early.complaint.contains("position_not_reached"), "{}", early.complaint);

    // What the caller wrote to another server arrives here, and the node runs something else still.
    let mut waiting = waiter.start(&after);
    house.done(json!([put("d", "d", "2", json!({"all": true}))])).await;
    assert_eq!(waiter.look(&after).await.code, Some(3));
    assert!(waiting.try_wait().unwrap().is_none(), "it waits");
    house.converges("n-1").await;
    let ended = Ended::from(waiting.wait_with_output().await.unwrap());
    assert_eq!((ended.code, ended.said), (Some(0), format!("1 of 1 node converged at position {next}\n")));
}
