//! `headwater dev --tls`: every connection is encrypted, every client verifies, and a node still gets its file.

use std::process::{Command, Output};

use client::api_client::{ApiClient, CommandRequest};
use serde_json::json;
use tls::authorities::Authorities;

use crate::running::{Dev, folder};

fn headwater(dev: &Dev, arguments: &[&str], ca_file: bool) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headwater"));
    command.args(arguments).env("HEADWATER_URL", &dev.json.http).env("HEADWATER_TOKEN", &dev.json.tokens.admin);
    if ca_file {
        command.env("HEADWATER_CA_FILE", dev.json.ca_file.as_ref().unwrap());
    }
    command.output().unwrap()
}

#[tokio::test]
async fn a_fleet_that_encrypts_everything_converges_and_refuses_who_does_not_verify() {
    let dir = folder();
    let dev = Dev::start_with(dir.path(), 1, &["--tls"]);
    assert!(dev.json.http.starts_with("https://") && dev.json.nats.starts_with("tls://"), "{:?}", dev.json);
    let authorities = Authorities::File(dev.json.ca_file.clone().unwrap());
    let (url, token) = (dev.json.http.parse().unwrap(), dev.json.tokens.admin.parse().unwrap());
    let client = ApiClient::trusting(&authorities, url, token).unwrap();
    let put = json!({"type": "put_document", "id": "motd", "path": "etc/motd", "media_type": "text/plain",
                     "content": "hello\n", "target": {"all": true}, "priority": 0});
    client.send_commands(&CommandRequest { commands: vec![put], ..CommandRequest::default() }).await.unwrap();
    let waited = headwater(
        &dev,
        &["wait", "nodes", "--all", "--for", "converged", "--offline", "wait", "--timeout", "60s"],
        true,
    );
    assert!(waited.status.success(), "{}", String::from_utf8_lossy(&waited.stderr));
    let file = dev.json.nodes[0].dir.join("current/files/etc/motd");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "hello\n");
    let untrusting = headwater(&dev, &["get", "log"], false);
    assert_eq!(untrusting.status.code(), Some(3).filter(|_| !untrusting.stderr.is_empty()), "{untrusting:?}");
    // The sessions of PostgreSQL are encrypted, also that of the replication stream.
    let query = "SELECT count(*) FILTER (WHERE NOT ssl)::text || ' of ' || count(*) || ' ' || bool_or(a.application_name = 'headwater relay') \
                 FROM pg_stat_ssl JOIN pg_stat_activity a USING (pid) WHERE usename LIKE 'headwater_%'";
    let (database, connection) = tokio_postgres::connect(&dev.json.database, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let shown: String = database.query_one(query, &[]).await.unwrap().get(0);
    assert!(shown.starts_with("0 of ") && shown.ends_with(" true") && !shown.starts_with("0 of 0 "), "{shown}");
}

/// What a command says that must not start.
fn refusal(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_headwater")).args(arguments).env_clear().output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    said
}

#[test]
fn nothing_leaves_this_machine_in_the_clear_unless_somebody_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("signing.key");
    program::durable_file::create(&key, "07".repeat(32).as_bytes(), program::durable_file::FileMode::Exact(0o600))
        .unwrap();
    let (key, file, node) = (key.to_str().unwrap(), dir.path().join("export"), dir.path().join("node"));
    let (file, node) = (file.to_str().unwrap(), node.to_str().unwrap());
    let (here, nats_here) = ("postgres://a:b@127.0.0.1:1/c", "nats://127.0.0.1:1");
    // Addresses that are nobody's (RFC 5737).
    let (away, nats_away) = ("postgres://a:b@192.0.2.1:1/c", "nats://192.0.2.1:1");
    let serve = |database, nats, more: &[&'static str]| {
        let all = [
            "serve",
            "--http",
            "127.0.0.1:0",
            "--signing-key-file",
            key,
            "--database-url",
            database,
            "--nats-url",
            nats,
        ];
        refusal(&[&all, more].concat())
    };
    let replication_away = &["--replication-url", "postgres://a:b@192.0.2.1:1/c"];
    for (said, flag) in [
        (serve(away, nats_here, &[]), "--database-url"),
        (serve(here, nats_here, replication_away), "--replication-url"),
        (serve(here, nats_away, &[]), "--nats-url"),
        (
            refusal(&[
                "serve",
                "--http",
                "0.0.0.0:0",
                "--signing-key-file",
                key,
                "--database-url",
                here,
                "--nats-url",
                nats_here,
            ]),
            "--http",
        ),
        (
            refusal(&["install", "--signing-key-file", key, "--database-url", away, "--nats-url", nats_here]),
            "--database-url",
        ),
        (refusal(&["recover", "--database-url", away, "--nats-url", nats_here]), "--database-url"),
        (refusal(&["export", "--database-url", away, "--to", file]), "--database-url"),
        (refusal(&["token", "reset", "--database-url", away, "--signing-key-file", key]), "--database-url"),
        (refusal(&["edge", "--node", "n-1", "--dir", node, "--nats-url", nats_away]), "--nats-url"),
        (refusal(&["dev", "--dir", node, "--http", "0.0.0.0:0"]), "--http"),
    ] {
        assert!(said.contains(&format!("{flag} has")) && said.contains("--plain"), "{flag}: {said}");
    }
    let no_pair = serve(here, nats_here, &["--http-cert-file", "/no/such/file", "--http-key-file", "/no/such/file"]);
    assert!(no_pair.contains("/no/such/file can't be read"), "{no_pair}");
    let no_ca = serve(here, nats_here, &["--database-ca-file", "/no/such/file"]);
    assert!(no_ca.contains("/no/such/file can't be read"), "{no_ca}");
}
