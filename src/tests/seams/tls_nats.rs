//! TLS to NATS: nothing is said before the right server has shown itself, and whatever keeps that from happening has a name.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bus::connect::Link;
use bus::options::NatsOptions;
use bus::transport::NatsTlsOptions;
use lab::certificates::ValidYears;
use lab::nats::{Access, CERTIFICATE_FILE, KEY_FILE, NatsCertificate, NatsServer};
use lab::running_server::RunningServer;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use testkit::certificates::TestAuthority;
use testkit::eventually::eventually;
use tls::plain::PlainOption;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::SOON;

const LOOPBACK: &[&str] = &["localhost", "127.0.0.1"];

/// A NATS with a certificate of a CA.
async fn nats(dir: &TempDir, authority: &TestAuthority, valid: ValidYears) -> RunningServer<NatsServer> {
    let issued = authority.certificate(LOOPBACK, valid);
    let authority = std::fs::read_to_string(&authority.ca_file).unwrap();
    NatsServer::start_with(dir.path(), Access::Password, Some(NatsCertificate { issued, authority })).await.unwrap()
}

async fn connect(url: &str, ca_file: &Path) -> Link {
    let tls = NatsTlsOptions { nats_ca_file: Some(ca_file.to_owned()), nats_info_first: false };
    let options = NatsOptions::new(url.to_owned(), None, tls, "cfg".parse().unwrap());
    options.connect::<server::backend::Error>(PlainOption::default(), None, "test").await.unwrap()
}

/// Waits until the link says why it is not up, with this code.
async fn fails_by(link: &Link, code: &str) {
    eventually(code, SOON, async || {
        let reason = link.unreachable_reason();
        if reason.contains(&format!("({code})")) { Ok(()) } else { Err(reason) }
    })
    .await;
    assert!(!link.is_up());
}

async fn is_up(link: &Link) {
    let answers = async {
        link.up().await;
        link.client().flush().await.unwrap();
    };
    tokio::time::timeout(SOON, answers).await.unwrap_or_else(|_| panic!("{}", link.unreachable_reason()));
}

#[tokio::test]
async fn the_right_server_is_reached_and_each_wrong_one_has_a_name() {
    let dir = tempfile::tempdir().unwrap();
    let (right, wrong) = (TestAuthority::create(dir.path(), "right"), TestAuthority::create(dir.path(), "wrong"));
    let server = nats(&dir, &right, ValidYears::ALL).await;
    let link = connect(&server.url(), &right.ca_file).await;
    is_up(&link).await;
    fails_by(&connect(&server.url(), &wrong.ca_file).await, "wrong_ca").await;
}

#[tokio::test]
async fn a_server_with_a_certificate_for_another_name_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let right = TestAuthority::create(dir.path(), "right");
    let issued = right.certificate(&["127.0.0.1"], ValidYears::ALL);
    let authority = std::fs::read_to_string(&right.ca_file).unwrap();
    let server = NatsServer::start_with(dir.path(), Access::Password, Some(NatsCertificate { issued, authority }))
        .await
        .unwrap();
    fails_by(&connect(&server.url().replace("127.0.0.1", "localhost"), &right.ca_file).await, "wrong_name").await;
}

#[tokio::test]
async fn a_ca_is_read_at_each_connect() {
    let dir = tempfile::tempdir().unwrap();
    let (right, wrong) = (TestAuthority::create(dir.path(), "right"), TestAuthority::create(dir.path(), "wrong"));
    let server = nats(&dir, &right, ValidYears::ALL).await;
    let link = connect(&server.url(), &wrong.ca_file).await;
    fails_by(&link, "wrong_ca").await;
    std::fs::copy(&right.ca_file, &wrong.ca_file).unwrap();
    is_up(&link).await;
}

#[tokio::test]
async fn a_certificate_of_a_new_ca_is_taken_while_clients_that_trust_both_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (TestAuthority::create(dir.path(), "old"), TestAuthority::create(dir.path(), "new"));
    let server = nats(&dir, &old, ValidYears::ALL).await;
    let both = dir.path().join("both.pem");
    let text = [&old, &new].map(|authority| std::fs::read_to_string(&authority.ca_file).unwrap()).concat();
    std::fs::write(&both, text).unwrap();
    let link = connect(&server.url(), &both).await;
    is_up(&link).await;
    let home = dir.path().join("nats");
    let issued = new.certificate(LOOPBACK, ValidYears::ALL);
    issued.write(&home.join(CERTIFICATE_FILE), &home.join(KEY_FILE)).unwrap();
    kill_process(Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap(), Signal::HUP).unwrap();
    is_up(&connect(&server.url(), &new.ca_file).await).await;
    is_up(&link).await;
    fails_by(&connect(&server.url(), &old.ca_file).await, "wrong_ca").await;
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let authority = TestAuthority::create(dir.path(), "right");
    let server = nats(&dir, &authority, ValidYears::ALL).await;
    let home = dir.path().join("nats");
    let expired = authority.certificate(LOOPBACK, ValidYears { from: 2000, until: 2001 });
    expired.write(&home.join(CERTIFICATE_FILE), &home.join(KEY_FILE)).unwrap();
    kill_process(Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap(), Signal::HUP).unwrap();
    // Until the server has read it, the old one is shown.
    eventually("the expired one is refused", SOON, async || {
        let link = connect(&server.url(), &authority.ca_file).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        let reason = link.unreachable_reason();
        if reason.contains("(certificate_expired)") { Ok(()) } else { Err(reason) }
    })
    .await;
}

#[tokio::test]
async fn a_server_without_tls_hears_neither_user_nor_password() {
    let dir = tempfile::tempdir().unwrap();
    let ca_file: PathBuf = TestAuthority::create(dir.path(), "right").ca_file;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        // The client tries again and again.
        while let Ok((mut stream, _)) = listener.accept().await {
            // What NATS says first, and what somebody in between may say: that there is no TLS.
            let info = br#"INFO {"server_id":"a","version":"2.15.1","tls_required":false,"max_payload":1048576}"#;
            let _ended_in_any_way = stream.write_all(&[info, &b"\r\n"[..]].concat()).await;
            let mut said = Vec::new();
            let _ended_in_any_way = stream.read_to_end(&mut said).await;
            let _nobody_hears_any_more = heard.send(said);
        }
    });
    let link = connect(&format!("tls://ann:secret@127.0.0.1:{port}"), &ca_file).await;
    fails_by(&link, "no_tls").await;
    let said = tokio::time::timeout(SOON, hears.recv()).await.unwrap().unwrap();
    assert!(said.first() == Some(&22) && !said.windows(6).any(|part| part == b"secret"), "{said:?}");
    assert!(link.unreachable_reason().contains("handshake_first"), "{}", link.unreachable_reason());
}
