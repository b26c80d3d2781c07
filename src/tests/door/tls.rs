//! TLS at the HTTP API: who is let in, what each failure is called, and a certificate that is replaced under load.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use lab::certificates::ValidYears;
use server::http::listener::{ConnectionLimits, HttpListener, serve};
use tempfile::TempDir;
use testkit::certificates::{TestAuthority, certificate_files, http_client};
use tls::server_certificate::ServerCertificate;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

use crate::ask::{AUDITOR, House};

const DEADLINE: Duration = Duration::from_secs(20);
const LOOPBACK: &[&str] = &["localhost", "127.0.0.1"];

/// A door with a certificate, and the CA that signed it.
struct TlsDoor {
    house: House,
    address: SocketAddr,
    certificate: ServerCertificate,
    authority: TestAuthority,
    dir: TempDir,
}

impl TlsDoor {
    async fn open(names: &[&str], valid: ValidYears) -> Self {
        Self::open_within(names, valid, ConnectionLimits::default()).await
    }

    async fn open_within(names: &[&str], valid: ValidYears, limits: ConnectionLimits) -> Self {
        let (house, dir) = (House::new(), tempfile::tempdir().unwrap());
        let authority = TestAuthority::create(dir.path(), "right");
        let files = certificate_files(dir.path());
        authority.issue(&files, names, valid);
        let certificate = ServerCertificate::load(files).unwrap();
        let listener = HttpListener::bind(([127, 0, 0, 1], 0).into(), Some(certificate.clone())).await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(tokio::spawn(serve(listener, house.router.clone(), limits, house.closing.clone())));
        Self { house, address, certificate, authority, dir }
    }

    /// What `headwater get log` says that trusts a CA.
    async fn get_log(&self, scheme: &str, host: &str, ca_file: &Path) -> Output {
        let url = format!("{scheme}://{host}:{}", self.address.port());
        headwater(&["get", "log", "--json", "--url", &url, "--ca-file", ca_file.to_str().unwrap()]).await
    }

    fn client(&self) -> reqwest::Client {
        http_client(Some(&self.authority.ca_file)).build().unwrap()
    }
}

async fn headwater(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headwater"));
    let command = command.args(arguments).env("HEADWATER_TOKEN", AUDITOR).stdin(Stdio::null()).kill_on_drop(true);
    timeout(DEADLINE, command.output()).await.unwrap().unwrap()
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn a_client_that_trusts_the_ca_is_answered_by_name_and_by_address() {
    let door = TlsDoor::open(LOOPBACK, ValidYears::ALL).await;
    for host in LOOPBACK {
        let output = door.get_log("https", host, &door.authority.ca_file).await;
        assert!(output.status.success(), "{}", complaint(&output));
        let log: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(log["position"], 2);
        let url = format!("https://{host}:{}", door.address.port());
        let healthy =
            headwater(&["health", "--url", &url, "--ca-file", door.authority.ca_file.to_str().unwrap()]).await;
        assert!(healthy.status.success(), "{}", complaint(&healthy));
    }
}

#[tokio::test]
async fn each_failure_has_a_name_and_ends_with_3() {
    let door = TlsDoor::open(&["localhost"], ValidYears::ALL).await;
    let expired = TlsDoor::open(LOOPBACK, ValidYears { from: 2000, until: 2001 }).await;
    let right = |door: &TlsDoor| door.authority.ca_file.clone();
    // A CA of the same name, with another key.
    let wrong = TestAuthority::create(door.dir.path(), "wrong").ca_file;
    let plain = plain_door().await;
    for (failed, code) in [
        (door.get_log("https", "localhost", &wrong).await, "wrong_ca"),
        (door.get_log("https", "127.0.0.1", &right(&door)).await, "wrong_name"),
        (expired.get_log("https", "localhost", &right(&expired)).await, "certificate_expired"),
        (
            headwater(&["get", "log", "--url", &format!("https://{plain}"), "--ca-file", wrong.to_str().unwrap()])
                .await,
            "no_tls",
        ),
    ] {
        let said = complaint(&failed);
        assert!(failed.status.code() == Some(3) && said.contains(&format!("({code})")), "{code}: {said}");
    }
    let spoken = door.get_log("http", "localhost", &wrong).await;
    assert!(!spoken.status.success() && complaint(&spoken).contains("tls_required"), "{}", complaint(&spoken));
}

/// A door without a certificate.
async fn plain_door() -> SocketAddr {
    let house = House::new();
    let listener = HttpListener::bind(([127, 0, 0, 1], 0).into(), None).await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(tokio::spawn(serve(listener, house.router.clone(), ConnectionLimits::default(), house.closing.clone())));
    address
}

#[tokio::test]
async fn the_system_does_not_trust_a_ca_of_ones_own() {
    let door = TlsDoor::open(LOOPBACK, ValidYears::ALL).await;
    let output = headwater(&["get", "log", "--url", &format!("https://localhost:{}", door.address.port())]).await;
    let said = complaint(&output);
    // A machine without any CA says that instead.
    assert!(!output.status.success() && (said.contains("(wrong_ca)") || said.contains("(ca_file)")), "{said}");
}

#[tokio::test]
async fn a_token_does_not_leave_this_machine_in_the_clear_unless_somebody_says_so() {
    let refused = headwater(&["get", "log", "--url", "http://192.0.2.1:7300"]).await;
    let said = complaint(&refused);
    assert!(refused.status.code() == Some(2) && said.contains("--plain") && said.contains("(plain_url)"), "{said}");
    let no_file = headwater(&["get", "log", "--url", "https://localhost:1", "--ca-file", "/no/such/file"]).await;
    assert!(no_file.status.code() == Some(2) && complaint(&no_file).contains("(ca_file)"), "{}", complaint(&no_file));
}

#[tokio::test]
async fn a_certificate_is_replaced_under_load_without_a_lost_request() {
    const CALLERS: usize = 8;
    let door = Arc::new(TlsDoor::open(LOOPBACK, ValidYears::ALL).await);
    let url = format!("https://localhost:{}/v1/log", door.address.port());
    let (is_over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let callers = (0..CALLERS).map(|caller| {
        let (door, url, is_over, answered) =
            (Arc::clone(&door), url.clone(), Arc::clone(&is_over), Arc::clone(&answered));
        tokio::spawn(async move {
            let mut client = door.client();
            while !is_over.load(Ordering::Relaxed) {
                // Half of them keep their connection, the others make a new one for each request.
                if caller % 2 == 0 {
                    client = door.client();
                }
                let answer = client.get(&url).bearer_auth(AUDITOR).send().await.unwrap();
                assert_eq!(answer.status(), 200);
                answer.bytes().await.unwrap();
                answered.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    let callers: Vec<_> = callers.collect();
    let files = certificate_files(door.dir.path());
    let mut shown = Vec::new();
    for _ in 0..10 {
        door.authority.issue(&files, LOOPBACK, ValidYears::ALL);
        door.certificate.reload();
        shown.push(shown_certificate(&door).await);
        let before = answered.load(Ordering::Relaxed);
        while answered.load(Ordering::Relaxed) < before + CALLERS {
            tokio::time::sleep(Duration::from_millis(5)).await;
            assert!(!callers.iter().any(tokio::task::JoinHandle::is_finished), "a request was lost");
        }
    }
    is_over.store(true, Ordering::Relaxed);
    for caller in callers {
        timeout(DEADLINE, caller).await.unwrap().unwrap();
    }
    shown.sort();
    shown.dedup();
    assert_eq!(shown.len(), 10, "each new connection was shown the newest certificate");
}

/// The certificate that a new connection is shown.
async fn shown_certificate(door: &TlsDoor) -> Vec<u8> {
    let authorities = tls::authorities::Authorities::File(door.authority.ca_file.clone());
    let connector = tokio_rustls::TlsConnector::from(Arc::new(authorities.client_config().unwrap()));
    let stream = TcpStream::connect(door.address).await.unwrap();
    let stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test]
async fn who_makes_no_handshake_keeps_nobody_out_and_is_closed() {
    let limits =
        ConnectionLimits { anonymous: 4, handshake: Duration::from_millis(500), ..ConnectionLimits::default() };
    let door = TlsDoor::open_within(LOOPBACK, ValidYears::ALL, limits).await;
    let mut halves = Vec::new();
    for _ in 0..20 {
        let mut half = TcpStream::connect(door.address).await.unwrap();
        // The beginning of a handshake whose rest never comes.
        half.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
        halves.push(half);
        let url = format!("https://localhost:{}/healthz", door.address.port());
        let healthy = timeout(DEADLINE, door.client().get(url).send()).await.unwrap().unwrap();
        assert_eq!(healthy.status(), 200);
    }
    for mut half in halves {
        let mut rest = Vec::new();
        drop(timeout(DEADLINE, half.read_to_end(&mut rest)).await.expect("the door waits for ever"));
        assert!(rest.is_empty(), "nothing is said in plain");
    }
}

#[tokio::test]
async fn a_closing_door_finishes_a_request_over_tls() {
    let door = TlsDoor::open(LOOPBACK, ValidYears::ALL).await;
    door.house.log.is_stuck.store(true, Ordering::Relaxed);
    let post = door.client().post(format!("https://localhost:{}/v1/commands", door.address.port()));
    let commands = serde_json::json!({"commands": [{"type": "retire_node", "id": "n"}]});
    let stuck = tokio::spawn(post.bearer_auth(crate::ask::ADMIN).json(&commands).send());
    while door.house.log.waiting.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    door.house.closing.cancel();
    let answered = timeout(DEADLINE, stuck).await.unwrap().unwrap().unwrap();
    assert_eq!(answered.status().as_u16(), 503, "it is not cut off without a word");
}
