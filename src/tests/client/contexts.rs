//! `headwater context`: servers by name, in files of a user who may have many shells.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::server::{Server, log_status};

/// A server of a log of its own, with one node that is named after it.
fn server(number: u32, node: &'static str) -> Server {
    Server::new(move |first, _, reply| {
        let body = match first {
            log if log.contains("/v1/log") => log_of(number),
            _ => json!({"items": [{"id": node, "state": "converged"}], "next": null}),
        };
        reply.whole("200 OK", &body.to_string())
    })
}

fn log_of(number: u32) -> Value {
    let mut log = log_status(7);
    log["log_id"] = json!(format!("0198b0a2-0000-7000-8000-{number:012}"));
    log
}

/// A user with a folder for configuration and a file with a token.
struct User(tempfile::TempDir);

impl User {
    fn new() -> Self {
        let user = Self(tempfile::tempdir().unwrap());
        fs::write(user.token(), "hw_secret\n").unwrap();
        fs::set_permissions(user.token(), fs::Permissions::from_mode(0o600)).unwrap();
        user
    }

    fn token(&self) -> PathBuf {
        self.0.path().join("token")
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("headwater/contexts.json")
    }

    /// A shell of the user: no variable of the test's own is in it.
    fn shell(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headwater"));
        for variable in ["HEADWATER_URL", "HEADWATER_TOKEN", "HEADWATER_CONTEXT"] {
            command.env_remove(variable);
        }
        command.args(arguments).env("XDG_CONFIG_HOME", self.0.path());
        command
    }

    fn add(&self, name: &str, url: &str) {
        let token = self.token();
        let ended = self.shell(&["context", "add", name, "--url", url, "--token-file"]).arg(&token).output().unwrap();
        assert!(ended.status.success(), "{ended:?}");
    }
}

fn told(ended: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (ended.status.code().unwrap(), text(&ended.stdout), text(&ended.stderr))
}

fn run(mut command: Command) -> (i32, String, String) {
    told(&command.output().unwrap())
}

#[test]
fn two_shells_talk_to_the_servers_that_their_variables_name() {
    let (lund, test, user) = (server(1, "in-lund"), server(2, "in-test"), User::new());
    user.add("lund", &lund.url);
    user.add("test", &test.url);
    assert_eq!(fs::metadata(user.file()).unwrap().permissions().mode() & 0o777, 0o600);
    let names = ["get", "nodes", "-o", "name"];
    let shells = ["lund", "test"].map(|name| user.shell(&names).env("HEADWATER_CONTEXT", name).output().unwrap());
    assert_eq!(shells.each_ref().map(|ended| told(ended).1), ["node/in-lund\n", "node/in-test\n"]);
    // A default is for shells that name no context, and changes nothing for one that does.
    let (code, _, complaint) = run({
        let mut command = user.shell(&["context", "use", "lund"]);
        command.env("HEADWATER_CONTEXT", "test");
        command
    });
    assert!(code == 0 && complaint.contains("HEADWATER_CONTEXT=test"), "{complaint}");
    assert_eq!(run(user.shell(&names)).1, "node/in-lund\n");
    assert_eq!(told(&user.shell(&names).env("HEADWATER_CONTEXT", "test").output().unwrap()).1, "node/in-test\n");
    assert_eq!(run(user.shell(&[&names[..], &["--context", "test"]].concat())).1, "node/in-test\n");
    // Variables win over the default.
    let given = user.shell(&names).env("HEADWATER_URL", &test.url).env("HEADWATER_TOKEN", "hw_other").output().unwrap();
    assert_eq!(told(&given).1, "node/in-test\n");
    let list: Value = serde_json::from_str(&run(user.shell(&["context", "list", "--json"])).1).unwrap();
    assert_eq!(
        (&list[0]["name"], &list[0]["default"], &list[1]["default"]),
        (&json!("lund"), &json!(true), &json!(false))
    );
    assert!(!fs::read_to_string(user.file()).unwrap().contains("hw_secret"), "no token is kept");
    assert_eq!(run(user.shell(&["context", "remove", "lund"])).0, 0);
    let (code, _, complaint) = run(user.shell(&names));
    assert!(code == 2 && complaint.contains("HEADWATER_TOKEN"), "the default went with it: {complaint}");
}

#[test]
fn another_log_under_the_name_is_refused_before_anything_is_sent() {
    let (lund, other, user) = (server(1, "in-lund"), server(2, "elsewhere"), User::new());
    user.add("lund", &lund.url);
    let text = fs::read_to_string(user.file()).unwrap().replace(&lund.url, &other.url);
    fs::write(user.file(), text).unwrap();
    for arguments in
        [&["get", "nodes"][..], &["retry", "n-1"], &["label", "nodes", "--all", "a=b"], &["wait", "nodes", "n-1"]]
    {
        let before = other.asked().len();
        let (code, said, complaint) = run(user.shell(&[arguments, &["--context", "lund"]].concat()));
        assert_eq!((code, said.as_str()), (1, ""), "{arguments:?}: {complaint}");
        assert!(complaint.contains("context lund is for log 0198b0a2-0000-7000-8000-000000000001"), "{complaint}");
        assert_eq!(other.asked()[before..], ["GET /v1/log"], "{arguments:?}");
    }
}

#[test]
fn the_token_of_a_context_goes_nowhere_else() {
    let (lund, other, user) = (server(1, "in-lund"), server(2, "elsewhere"), User::new());
    user.add("lund", &lund.url);
    let elsewhere = ["get", "nodes", "--context", "lund", "--url", &other.url];
    let (code, _, complaint) = run(user.shell(&elsewhere));
    assert!(code == 2 && complaint.contains("for its own URL only"), "{complaint}");
    assert_eq!(other.asked(), Vec::<String>::new());
    // By another way to the same log, with a token of its own, it is the log that counts.
    let (code, _, complaint) = told(&user.shell(&elsewhere).env("HEADWATER_TOKEN", "hw_other").output().unwrap());
    assert!(code == 1 && complaint.contains("has log"), "{complaint}");
}

#[test]
fn what_can_not_be_trusted_or_makes_no_sense_ends_with_usage() {
    let (lund, user) = (server(1, "in-lund"), User::new());
    let refused = |arguments: &[&str], words: &str| {
        let (code, said, complaint) = run(user.shell(arguments));
        assert_eq!((code, said.as_str()), (2, ""), "{arguments:?}: {complaint}");
        assert!(complaint.contains(words), "{arguments:?}: {complaint}");
    };
    refused(&["get", "nodes", "--context", "lund"], "there is no context lund");
    refused(&["context", "use", "lund"], "there is no context lund");
    refused(&["context", "add", "lund", "--url", &lund.url], "no token is given");
    refused(&["context", "add", "lund", "--url", &lund.url, "--token-command", "exit 1"], "exit status: 1");
    assert!(!user.file().exists(), "nothing is kept of what was refused");
    let path = user.token();
    chmod(&path, 0o644);
    refused(&["context", "add", "lund", "--url", &lund.url, "--token-file", path.to_str().unwrap()], "chmod 600");
    chmod(&path, 0o600);
    user.add("lund", &lund.url);
    refused(&["context", "add", "lund", "--url", &lund.url, "--token-file", path.to_str().unwrap()], "exists already");
    chmod(&user.file(), 0o644);
    for arguments in [&["get", "nodes", "--context", "lund"][..], &["context", "list"], &["context", "use", "lund"]] {
        refused(arguments, "chmod 600");
    }
    // Who gives URL and token needs no contexts, whatever is wrong with them.
    let given = user.shell(&["get", "nodes"]).env("HEADWATER_URL", &lund.url).env("HEADWATER_TOKEN", "hw_a").output();
    assert_eq!(told(&given.unwrap()).0, 0);
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_command_gives_the_token_each_time() {
    let (lund, user) = (server(1, "in-lund"), User::new());
    let command = format!("cat {}", user.token().display());
    let add = ["context", "add", "lund", "--url", &lund.url, "--token-command", &command];
    assert_eq!(run(user.shell(&add)).0, 0);
    assert_eq!(run(user.shell(&["get", "nodes", "--context", "lund"])).0, 0);
    fs::remove_file(user.token()).unwrap();
    let (code, _, complaint) = run(user.shell(&["get", "nodes", "--context", "lund"]));
    assert!(code == 2 && complaint.contains("context lund gives no token"), "{complaint}");
}
