//! TLS to PostgreSQL: queries and the replication stream come through it, and whatever is not the right server is refused.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use lab::certificates::ValidYears;
use lab::nats::NatsServer;
use schema::address::{APP_ROLE, RELAY_ROLE};
use schema::seal::SecretKey;
use store::appender::Appender;
use store::database::Database;
use store::install::install;
use store::reader::Reader;
use tempfile::TempDir;
use testkit::backends::{DATABASE, TestBackends};
use testkit::certificates::{TestAuthority, certificate_files};
use testkit::cluster;
use testkit::eventually::eventually;
use tls::authorities::Authorities;
use tls::server_certificate::ServerCertificate;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;
use wal::Error as WalError;
use wal::slot::Slot;

use crate::SOON;
use crate::desk::{Desk, enrol, one, passwords};

/// A log in a PostgreSQL with a certificate for these names.
async fn desk(names: &[&str], valid: ValidYears) -> (Desk, TestAuthority) {
    let dir = tempfile::tempdir().unwrap();
    let authority = TestAuthority::create(dir.path(), "right");
    let certificate = authority.certificate(names, valid);
    let (postgres, nats) = tokio::join!(cluster::start_tls(dir.path(), &certificate), NatsServer::start(dir.path()));
    let (postgres, nats) = (postgres.unwrap(), nats.unwrap());
    postgres.create_database(DATABASE).await.unwrap();
    let backends = TestBackends { postgres, nats, has_identities: false, nats_elsewhere: None, postgres_by: None, dir };
    let key = SecretKey::from_seed(&[7; 32]);
    let log_id = install(&Database::parse(&backends.database()).unwrap(), &passwords(), &key.public()).await.unwrap();
    (Desk { backends, log_id, key }, authority)
}

fn url(desk: &Desk, role: &str, host: &str) -> String {
    format!("postgres://{role}:{role}@{host}:{}/{DATABASE}", desk.backends.postgres.port())
}

fn database(url: &str, ca_file: &Path) -> Database {
    Database::parse(url).unwrap().verified_by(Some(ca_file)).unwrap()
}

/// What an attempt to open the log says.
async fn refusal(url: &str, ca_file: &Path) -> String {
    let opened = tokio::time::timeout(SOON, Reader::open(database(url, ca_file))).await.expect("it is refused soon");
    opened.expect_err("it is refused").to_string()
}

/// Sessions of a role that are encrypted, and all of them.
async fn sessions(desk: &Desk, role: &str) -> (String, String) {
    let of = |what: &str| {
        format!("SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = '{role}'{what}")
    };
    (desk.ask(&of(" AND ssl")).await, desk.ask(&of("")).await)
}

#[tokio::test]
async fn events_are_appended_and_followed_over_tls_only() {
    let (desk, authority) = desk(&["localhost"], ValidYears::ALL).await;
    let reader = Reader::open(database(&url(&desk, APP_ROLE, "localhost"), &authority.ca_file)).await.unwrap();
    let (appender, log) = Appender::start(reader).await.unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(appender.run(stop.clone()));
    let _ended = stop.drop_guard();
    let slot = Slot::parse(&url(&desk, RELAY_ROLE, "localhost"), None).unwrap();
    let slot = slot.verified_by(Some(&authority.ca_file)).unwrap();
    let mut tail = slot.take(desk.log_id).await.unwrap();
    let append = async |command| {
        let request = schema::request::Request::read(one(command).to_string().as_bytes()).unwrap();
        log.submit(request, schema::entity::Actor::Install, None).await.unwrap()
    };
    append(enrol("a")).await;
    // Larger than any buffer on the way.
    let labels = serde_json::json!({"type": "label_node", "id": "a", "labels": {"long": "x".repeat(200_000)}});
    let last = append(labels).await.position;
    let mut reached = schema::position::Position::ZERO;
    while reached < last {
        let batch = tokio::time::timeout(SOON, tail.next()).await.expect("it comes soon").unwrap();
        reached = batch.events.last().unwrap().position;
        tail.acknowledge(batch.receipt);
    }
    for role in [APP_ROLE, RELAY_ROLE] {
        let (encrypted, all) = sessions(&desk, role).await;
        assert!(encrypted == all && all != "0", "{role}: {encrypted} of {all} sessions are encrypted");
    }
    drop(tail);
    eventually("the slot is free", SOON, async || {
        let active = desk.ask("SELECT active FROM pg_replication_slots").await;
        if active == "false" { Ok(()) } else { Err(active) }
    })
    .await;
}

#[tokio::test]
async fn a_wrong_ca_a_wrong_name_and_an_expired_certificate_are_told_apart() {
    let (desk, authority) = desk(&["localhost"], ValidYears::ALL).await;
    let wrong = TestAuthority::create(desk.backends.dir.path(), "wrong").ca_file;
    for (host, ca_file, code) in [("localhost", &wrong, "wrong_ca"), ("127.0.0.1", &authority.ca_file, "wrong_name")] {
        let said = refusal(&url(&desk, APP_ROLE, host), ca_file).await;
        assert!(said.contains(code), "{said}");
        assert_eq!(said.contains("--database-ca-file"), code == "wrong_ca", "{said}");
        let slot = Slot::parse(&url(&desk, RELAY_ROLE, host), None).unwrap().verified_by(Some(ca_file)).unwrap();
        let error = slot.take(desk.log_id).await.err().expect("it is refused");
        assert!(error.to_string().contains(code), "{error}");
        assert_eq!(error.to_string().contains("--database-ca-file"), code == "wrong_ca", "{error}");
    }
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let (desk, authority) = desk(&["localhost"], ValidYears { from: 2000, until: 2001 }).await;
    let said = refusal(&url(&desk, APP_ROLE, "localhost"), &authority.ca_file).await;
    assert!(said.contains("certificate_expired"), "{said}");
}

#[tokio::test]
async fn a_plain_postgres_is_refused_and_hears_no_password() {
    let desk = Desk::new().await;
    let authority = TestAuthority::create(desk.backends.dir.path(), "right");
    let said = refusal(&url(&desk, APP_ROLE, "localhost"), &authority.ca_file).await;
    assert!(said.contains("does not support TLS"), "{said}");
    let slot = Slot::parse(&url(&desk, RELAY_ROLE, "localhost"), None).unwrap();
    let slot = slot.verified_by(Some(&authority.ca_file)).unwrap();
    assert!(matches!(slot.take(desk.log_id).await.err(), Some(WalError::Connect { .. })));
}

/// A server that answers the request for TLS with some bytes.
async fn answering(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 8];
            stream.read_exact(&mut request).await.unwrap();
            stream.write_all(answer).await.unwrap();
            let mut rest = Vec::new();
            let _ended_in_any_way = stream.read_to_end(&mut rest).await;
            assert!(rest.is_empty() || rest[0] == 22, "something was said in plain");
        }
    });
    address
}

#[tokio::test]
async fn bytes_before_the_handshake_are_not_taken_for_an_answer() {
    let dir = TempDir::new().unwrap();
    let authority = TestAuthority::create(dir.path(), "right");
    // A login that succeeded, and a server that is ready: what somebody in between would like us to believe.
    let address = answering(b"SR\0\0\0\x08\0\0\0\0Z\0\0\0\x05I").await;
    let said = refusal(&format!("postgres://a:a@localhost:{}/b", address.port()), &authority.ca_file).await;
    assert!(said.contains("no_tls"), "{said}");
}

/// Somebody in between who has a certificate of the same CA for the same name, and passes everything on to PostgreSQL.
async fn in_between(desk: &Desk, authority: &TestAuthority) -> SocketAddr {
    let files = certificate_files(desk.backends.dir.path());
    authority.issue(&files, &["localhost"], ValidYears::ALL);
    let shown = Arc::new(ServerCertificate::load(files).unwrap().server_config(&[]));
    let trusted = Arc::new(Authorities::File(authority.ca_file.clone()).client_config().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, postgres) = (listener.local_addr().unwrap(), desk.backends.postgres.port());
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut request = [0; 8];
            near.read_exact(&mut request).await.unwrap();
            near.write_all(b"S").await.unwrap();
            let mut near = TlsAcceptor::from(Arc::clone(&shown)).accept(near).await.unwrap();
            let mut far = TcpStream::connect(("127.0.0.1", postgres)).await.unwrap();
            far.write_all(&request).await.unwrap();
            assert_eq!(far.read_u8().await.unwrap(), b'S');
            let connector = TlsConnector::from(Arc::clone(&trusted));
            let mut far = connector.connect("localhost".try_into().unwrap(), far).await.unwrap();
            let _ended_in_any_way = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        }
    });
    address
}

#[tokio::test]
async fn a_login_can_not_be_passed_on_by_somebody_in_between() {
    let (desk, authority) = desk(&["localhost"], ValidYears::ALL).await;
    let address = in_between(&desk, &authority).await;
    let url = format!("postgres://{APP_ROLE}:{APP_ROLE}@localhost:{}/{DATABASE}", address.port());
    let said = refusal(&url, &authority.ca_file).await;
    assert!(said.contains("SQLSTATE 28") || said.contains("channel binding"), "the password is right: {said}");
}
