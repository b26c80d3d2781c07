//! What the auditor's program says of a log, order by order, from two files of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use histories::story::{self, Story};
use projections::configuration::Configuration;
use projections::render::render;
use replay::log::Follower;
use schema::id::NodeId;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A story in two files.
struct Told {
    story: Story,
    dir: TempDir,
}

impl Told {
    fn new() -> Self {
        Self::of(story::told())
    }

    fn of(story: Story) -> Self {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("a.hwlog"), story.file(1, story::FIRST_PART)).unwrap();
        fs::write(dir.path().join("b.hwlog"), story.file(story::FIRST_PART + 1, story.position())).unwrap();
        Self { story, dir }
    }

    fn run(&self, words: &[&str]) -> Output {
        self.told(words, Stdio::piped())
    }

    fn told(&self, words: &[&str], stdout: Stdio) -> Output {
        let mut program = Command::new(env!("CARGO_BIN_EXE_headwater-replay"));
        program.args(words).env_clear().current_dir(self.dir.path()).stdout(stdout).stderr(Stdio::piped());
        program.spawn().unwrap().wait_with_output().unwrap()
    }

    /// What an order says of both files, in bytes.
    fn bytes(&self, words: &[&str]) -> Vec<u8> {
        let output = self.run(&[words, &["a.hwlog", "b.hwlog"]].concat());
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn text(&self, words: &[&str]) -> String {
        String::from_utf8(self.bytes(words)).unwrap()
    }

    fn json(&self, words: &[&str]) -> Value {
        serde_json::from_slice(&self.bytes(&[words, &["--json"]].concat())).unwrap()
    }

    /// How an order that can't be done ends, and what it says.
    fn refused(&self, words: &[&str]) -> (i32, String) {
        let output = self.run(&[words, &["a.hwlog", "b.hwlog"]].concat());
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    /// The states after each request, by the positions that mean them.
    fn states(&self) -> BTreeMap<u64, Configuration> {
        let mut follower = Follower::new(story::log_id());
        let (mut states, mut waiting) = (BTreeMap::from([(0, Configuration::default())]), Vec::new());
        for event in &self.story.events {
            follower.advance(event).unwrap();
            waiting.push(event.position.get());
            if event.ends_request() {
                states.extend(waiting.drain(..).map(|position| (position, follower.configuration().clone())));
            }
        }
        states
    }
}

fn node(id: &str) -> NodeId {
    id.parse().unwrap()
}

#[test]
fn every_node_is_shown_as_it_was_at_every_position_and_time() {
    let told = Told::new();
    for (position, state) in told.states() {
        for id in ["lund-1", "lund-2", "copenhagen-1"] {
            let words = ["show", "--node", id, "--at"];
            let at = position.to_string();
            let Some(manifest) = render(&state, &node(id)) else {
                assert_eq!(told.refused(&[&words[..], &[&at]].concat()).0, 1, "{id} at {position}");
                continue;
            };
            assert_eq!(
                told.json(&[&words[..], &[&at]].concat())["digest"],
                json!(manifest.digest),
                "{id} at {position}"
            );
        }
    }
    let last = &told.story.events[usize::try_from(story::FIRST_PART).unwrap() - 1];
    let by_time = told.json(&["show", "--node", "lund-1", "--at", &last.at.to_string()]);
    assert_eq!(by_time, told.json(&["show", "--node", "lund-1", "--at", &story::FIRST_PART.to_string()]));
    assert_eq!(told.refused(&["show", "--node", "lund-1", "--at", "38"]).0, 2, "there is no such position");
    assert_eq!(told.refused(&["show", "--node", "lund-1", "--at", "2025-12-31T23:59:59Z"]).0, 1, "there was no node");
}

#[test]
fn bytes_are_shown_exactly_as_the_node_got_them() {
    let told = Told::new();
    let shown = |path: &str, at: &str| told.bytes(&["show", "--node", "lund-1", "--path", path, "--at", at]);
    assert_eq!(shown("etc/motd", "6"), b"hej\n", "within a request its end is meant");
    assert_eq!(shown("etc/calibration.txt", "37"), "0123456789".repeat(500).into_bytes());
    assert_eq!(shown("etc/empty", "9"), b"");
    assert_eq!(told.refused(&["show", "--node", "lund-1", "--path", "etc/empty"]).0, 1, "it was removed");
    let entry = told.json(&["show", "--node", "copenhagen-1", "--path", "etc/motd"]);
    assert_eq!((&entry["content"], &entry["source"]["position"]), (&json!("hej\n"), &json!(7)));
    let (job, _) = told.story.state.jobs().held_by(&node("lund-1")).next().unwrap();
    let spec = told.story.state.spec(job).unwrap();
    assert_eq!(told.bytes(&["show", "--job", job.as_str()]), spec.bytes.to_vec());
    assert_eq!(shown(&format!("jobs/{job}.json"), "37"), spec.bytes.to_vec());
    assert_eq!(told.refused(&["show", "--job", job.as_str(), "--at", "12"]).0, 1, "there was no job yet");
}

#[test]
fn a_difference_names_paths_and_where_they_come_from() {
    let told = Told::new();
    let diff = told.json(&["diff", "--node", "lund-1", "7", "12"]);
    assert_eq!((&diff["before"], &diff["after"]), (&json!(7), &json!(12)));
    let paths = diff["paths"].as_array().unwrap();
    assert_eq!(paths.len(), 1, "{diff}");
    assert_eq!((&paths[0]["path"], &paths[0]["before"]), (&json!("etc/calibration.txt"), &Value::Null));
    assert_eq!(paths[0]["after"]["source"]["entity"], "document/calibration");
    // Two files alone: the second goes on from the first.
    let between = told.json(&["diff", "--node", "lund-1"]);
    assert_eq!((&between["before"], &between["after"]), (&json!(12), &json!(37)));
    assert_eq!(between["paths"].as_array().unwrap().len(), 1, "{between}");
    assert!(told.text(&["diff", "--node", "lund-1", "12", "7"]).contains("- etc/calibration.txt"));
    assert_eq!(told.refused(&["diff", "--node", "lund-1", "7"]).0, 2);
    assert_eq!(told.refused(&["diff", "--node", "nobody", "7", "12"]).0, 1);
}

#[test]
fn a_history_has_all_that_concerned_it_and_nothing_else() {
    let told = Told::new();
    let positions = |words: &[&str]| -> Vec<u64> {
        let history = told.json(words);
        history["items"].as_array().unwrap().iter().map(|item| item["position"].as_u64().unwrap()).collect()
    };
    assert_eq!(positions(&["history", "--entity", "document/motd"]), [6, 11]);
    assert_eq!(positions(&["history", "--node", "copenhagen-1"]), [5, 6, 9, 10, 11, 12]);
    let history = told.json(&["history", "--node", "lund-1"]);
    let last = history["items"].as_array().unwrap().iter().rev().find(|item| !item["desired"].is_null()).unwrap();
    assert_eq!(last["desired"], json!(render(&told.story.state, &node("lund-1")).unwrap().digest));
    assert_eq!(told.refused(&["history", "--entity", "document/nothing"]).0, 1);
}

#[test]
fn a_reason_has_its_events_with_actors_and_words() {
    let told = Told::new();
    let why = told.json(&["why", "--node", "lund-1", "--path", "etc/motd"]);
    let because: Vec<_> =
        why["because"].as_array().unwrap().iter().map(|cause| (&cause["part"], &cause["position"])).collect();
    assert_eq!(because[0], (&json!("put"), &json!(7)), "{why}");
    assert!(because.contains(&(&json!("overrode"), &json!(11))), "{why}");
    let gone = told.json(&["why", "--node", "lund-1", "--path", "etc/empty"]);
    assert!(gone["found"].is_null() && gone["because"][0]["part"] == "left", "{gone}");
    let (job, _) = told.story.state.jobs().held_by(&node("lund-1")).next().unwrap();
    let of_job = told.text(&["why", "--job", job.as_str()]);
    assert!(of_job.contains("what must hold") && of_job.contains("node/lund-1"), "{of_job}");
    assert_eq!(told.refused(&["why", "--node", "lund-1", "--path", "never/there"]).0, 1);
    let (noted, desired) = (&why["noted"], &why["desired"]["digest"]);
    assert_eq!((&noted["failed"]["code"], &noted["running"]["position"]), (&json!("check_failed"), &json!(7)), "{why}");
    assert!(desired.is_string() && *desired != noted["running"]["digest"], "what is desired is not what runs: {why}");
    let text = told.text(&["why", "--node", "lund-1", "--path", "etc/motd"]);
    assert!(text.contains("it ran something else, of position 7, and position 11 had failed: check_failed"), "{text}");
    let silent = told.text(&["why", "--node", "copenhagen-1", "--path", "etc/motd"]);
    assert!(silent.ends_with("The log has no report of the node.\n"), "{silent}");
}

#[test]
fn trees_are_rebuilt_as_of_any_moment_and_never_over_others() {
    let told = Told::new();
    told.text(&["rebuild", "--to", "then", "--at", "9"]);
    let read = |path: &str| fs::read(told.dir.path().join(path)).unwrap();
    assert_eq!(read("then/lund-1/files/etc/motd"), b"hej\n");
    assert_eq!(read("then/copenhagen-1/files/etc/motd"), b"hello\n");
    assert_eq!(read("then/lund-2/files/etc/empty"), b"");
    assert!(told.dir.path().join("then/lund-2/jobs").is_dir());
    told.text(&["rebuild", "--to", "now"]);
    let names = |path: &Path| {
        let mut names: Vec<PathBuf> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        names.len()
    };
    assert_eq!(names(&told.dir.path().join("now/lund-1/jobs")), 1);
    assert_eq!(names(&told.dir.path().join("now/lund-2/files")), 0, "a retired node holds nothing");
    assert_eq!(told.refused(&["rebuild", "--to", "now"]).0, 2);
}

#[test]
fn counts_are_those_of_the_log() {
    let told = Told::new();
    let stats = told.json(&["stats"]);
    assert_eq!((&stats["position"], &stats["types"]["DocumentPut"]), (&json!(37), &json!(5)));
    assert_eq!(stats["types"].as_object().unwrap().len(), 22, "every type");
    assert_eq!((&stats["there"]["nodes"], &stats["there"]["retired nodes"]), (&json!(2), &json!(1)));
}

#[test]
fn trouble_has_a_code_and_says_what_it_is() {
    let told = Told::new();
    let key = hex::encode(schema::seal::SecretKey::from_seed(&[1; 32]).public().as_bytes());
    let (code, said) = told.refused(&["verify", "--trust", &key]);
    assert!(code == 1 && said.contains(&key) && said.contains("at position 1"), "{said}");
    assert_eq!(told.refused(&["verify", "--trust", "short"]).0, 2);
    assert_eq!(told.run(&["verify"]).status.code(), Some(2));
    assert_eq!(told.run(&["verify", "missing.hwlog"]).status.code(), Some(3));
    fs::write(told.dir.path().join("text.hwlog"), "no export at all, but long enough").unwrap();
    let output = told.run(&["verify", "--json", "text.hwlog"]);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &said["finding"]["code"]), (Some(1), &json!("no_export")));
    // A checkpoint from elsewhere, as the server shows it or as a note alone.
    let note = told.story.notes.values().next_back().unwrap();
    fs::write(told.dir.path().join("note"), note).unwrap();
    fs::write(told.dir.path().join("note.json"), json!({ "note": note }).to_string()).unwrap();
    for note in ["note", "note.json"] {
        told.text(&["verify", "--checkpoint", note]);
        let shorter = told.run(&["verify", "a.hwlog", "--checkpoint", note]);
        assert_eq!(shorter.status.code(), Some(1), "{}", String::from_utf8_lossy(&shorter.stderr));
    }
}

/// Every order that prints, with words that it can do.
const ORDERS: [&[&str]; 10] = [
    &["verify"],
    &["show", "--node", "lund-1"],
    &["show", "--node", "lund-1", "--path", "etc/motd"],
    &["diff", "--node", "lund-1", "7", "12"],
    &["history", "--node", "lund-1"],
    &["history", "--entity", "document/motd"],
    &["why", "--node", "lund-1", "--path", "etc/motd"],
    &["laws"],
    &["stats"],
    &["rebuild", "--at", "9", "--to"],
];

#[test]
fn output_that_cant_be_written_is_a_failure_and_a_closed_pipe_is_not() {
    let told = Told::new();
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut folders = 0;
    let mut words = |order: &[&str], json: bool| -> Vec<String> {
        let mut words: Vec<String> = order.iter().map(|word| (*word).to_owned()).collect();
        if order[0] == "rebuild" {
            folders += 1;
            words.push(format!("trees-{folders}"));
        }
        words.extend(["a.hwlog", "b.hwlog"].map(str::to_owned));
        words.extend(json.then(|| "--json".to_owned()));
        words
    };
    for order in ORDERS {
        for json in [false, true] {
            let said = words(order, json);
            let output = told.told(&said.iter().map(String::as_str).collect::<Vec<_>>(), full().into());
            let complaint = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(3), "{said:?}: {complaint}");
            assert!(complaint.contains("standard output can't be written"), "{said:?}: {complaint}");
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let said = words(order, json);
            let output = told.told(&said.iter().map(String::as_str).collect::<Vec<_>>(), writer.into());
            assert!(output.status.success() && output.stderr.is_empty(), "{said:?}: {output:?}");
        }
    }
    // What was found is said all the same.
    let output = told.told(&["verify", "b.hwlog", "--json"], full().into());
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(3) && complaint.contains("at position"), "{complaint}");
}

#[test]
fn nothing_that_others_wrote_does_anything_to_a_terminal() {
    const HOSTILE: &str = "a\u{1b}]0;t\u{7}\u{1b}[2J\rb\u{9b}2J\u{202e}c\u{200b}\u{2028}\u{feff}d";
    let is_hostile =
        |next: char| (next != '\n' && next.is_control()) || "\u{202e}\u{200b}\u{2028}\u{feff}".contains(next);
    let mut story = story::told();
    let body = json!({"reason": HOSTILE, "commands": [{"type": "put_document", "id": "motd", "path": "etc/motd",
        "media_type": "text/plain", "content": HOSTILE, "target": {"all": true}, "priority": 1000}]});
    story.request("ann", &schema::request::Request::read(body.to_string().as_bytes()).unwrap());
    story.sign();
    let told = Told::of(story);
    for order in &ORDERS[..8] {
        let json = told.json(order);
        if order.contains(&"history") || order[0] == "why" {
            assert!(json.to_string().contains(&json!(HOSTILE).to_string()), "{order:?} says the same: {json}");
        }
        let words = [*order, &["a.hwlog", "b.hwlog"][..]].concat();
        let raw = String::from_utf8(told.run(&[&words[..], &["--json"]].concat()).stdout).unwrap();
        assert!(!raw.contains(is_hostile), "{order:?}: {raw:?}");
        // A file's bytes are the node's, and no terminal is here.
        let text = told.text(order);
        assert_eq!(text.contains(is_hostile), order.contains(&"--path") && order[0] == "show", "{order:?}: {text:?}");
    }
    let (code, said) = told.refused(&["why", "--node", "lund-1", "--path", HOSTILE]);
    assert!(code == 1 && !said.contains(is_hostile), "{said:?}");
    fs::write(told.dir.path().join("\u{202e}\u{1b}[2J.hwlog"), "no export at all, but long enough").unwrap();
    let output = told.run(&["verify", "\u{202e}\u{1b}[2J.hwlog"]);
    assert!(output.status.code() == Some(1) && !String::from_utf8(output.stderr).unwrap().contains(is_hostile));
}
