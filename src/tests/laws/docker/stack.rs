//! What the composition starts, started on this machine: its commands and its variables, its script for nats-server and
//! its secrets, with names and folders of containers replaced by those of a test.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use lab::server_programs;
use serde_json::{Value, json};
use testkit::certificates::http_client;
use testkit::{cluster, programs};
use tokio_postgres::Config;

use super::{checkout, compose, dockerfile, environment, services, words};

/// How long anything here may take before it counts as never.
const DEADLINE: Duration = Duration::from_secs(60);

/// A program that ends with the test.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where things are that containers have under other names.
struct Stack {
    dir: PathBuf,
    postgres: u16,
    nats: u16,
    monitor: u16,
    http: u16,
}

impl Stack {
    /// A service's own command with its own variables.
    fn service(&self, name: &str) -> Command {
        let service = &services()[name];
        let target = service["build"]["target"].as_str().unwrap();
        let mut command = self.program(service);
        let path = format!("{}:{}", self.dir.join("bin").display(), std::env::var("PATH").unwrap());
        command.env_clear().env("PATH", path).env("TMPDIR", &self.dir);
        let mut variables = dockerfile().environment(target);
        variables.extend(environment(service));
        let here = |(name, value): (String, String)| (name, self.here(service, &value));
        command.envs(variables.into_iter().map(here).collect::<BTreeMap<_, _>>());
        command.args(words(&service["command"]).into_iter().map(|word| self.here(service, word)));
        let log = fs::File::create(self.dir.join(format!("{name}.log"))).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        command
    }

    fn program(&self, service: &Value) -> Command {
        match words(&service["entrypoint"]).as_slice() {
            [program, rest @ ..] => {
                let mut command = Command::new(program);
                command.args(rest.iter().map(|word| self.here(service, word)));
                command
            }
            [] => {
                let image = dockerfile().last(service["build"]["target"].as_str().unwrap(), "ENTRYPOINT").unwrap();
                let [program]: [PathBuf; 1] = serde_json::from_str(&image).unwrap();
                Command::new(programs::beside(program.file_name().unwrap().to_str().unwrap()))
            }
        }
    }

    /// What a container says, as it is on this machine.
    fn here(&self, service: &Value, text: &str) -> String {
        let mut here = text.replace("/run/secrets", &self.secrets().to_string_lossy());
        // nats-server's script looks for files beside itself, which lie beside it in the checkout, too.
        let files = compose()["configs"].take();
        for config in service["configs"].as_array().into_iter().flatten() {
            let file = files[config["source"].as_str().unwrap()]["file"].as_str().unwrap();
            let file = checkout("docker").join(file);
            here = here.replace(config["target"].as_str().unwrap(), &file.to_string_lossy());
        }
        let mut here = here
            .replace("@postgres:5432", &format!("@127.0.0.1:{}", self.postgres))
            .replace("//nats:4222", &format!("//127.0.0.1:{}", self.nats))
            .replace("//server:7300", &format!("//127.0.0.1:{}", self.http))
            .replace("0.0.0.0:4222", &format!("127.0.0.1:{}", self.nats))
            .replace("127.0.0.1:8222", &format!("127.0.0.1:{}", self.monitor))
            .replace("0.0.0.0:7300", &format!("127.0.0.1:{}", self.http));
        let mounts = words(&service["volumes"]).into_iter().map(|mount| mount.split_once(':').unwrap());
        let mut mounts: Vec<_> = mounts.map(|(name, folder)| (folder.trim_end_matches(":ro"), name)).collect();
        // The name of one folder may begin with that of another.
        mounts.sort_by_key(|(folder, _)| std::cmp::Reverse(folder.len()));
        for (folder, name) in mounts {
            let volume = self.volume(name);
            fs::create_dir_all(&volume).unwrap();
            here = here.replace(folder, &volume.to_string_lossy());
        }
        here
    }

    /// Runs a service that ends.
    fn run(&self, name: &str) {
        let ended = self.service(name).status().unwrap();
        assert!(ended.success(), "{name}: {}", self.log(name));
    }

    fn start(&self, name: &str) -> Started {
        Started(self.service(name).spawn().unwrap())
    }

    fn volume(&self, name: &str) -> PathBuf {
        self.dir.join("volumes").join(name)
    }

    fn secrets(&self) -> PathBuf {
        self.dir.join("secrets")
    }

    fn log(&self, name: &str) -> String {
        fs::read_to_string(self.dir.join(format!("{name}.log"))).unwrap_or_default()
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.http)
    }

    /// What the server's health check does.
    fn health(&self) -> ExitStatus {
        let services = services();
        let check = words(&services["server"]["healthcheck"]["test"]);
        let mut health = Command::new(env!("CARGO_BIN_EXE_headwater"));
        health.args(&check[2..]).env("HEADWATER_URL", self.url()).output().unwrap().status
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool, said: impl Fn() -> String) {
    let deadline = Instant::now() + DEADLINE;
    while !holds().await {
        assert!(Instant::now() < deadline, "never came true: {what}\n{}", said());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn is_ok(url: &str) -> bool {
    let asked = http_client(None).build().unwrap().get(url).send();
    asked.await.is_ok_and(|answer| answer.status().is_success())
}

fn make_secrets(folder: &Path) {
    let made = Command::new(checkout("docker/secrets.sh")).arg(folder).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

fn contents(folder: &Path) -> BTreeMap<PathBuf, String> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.map(|file| (file.clone(), fs::read_to_string(file).unwrap())).collect()
}

#[test]
fn secrets_are_made_once_and_only_their_owner_gets_at_them() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("secrets");
    make_secrets(&folder);
    let made = contents(&folder);
    let named: Vec<PathBuf> = super::names(&compose()["secrets"]).iter().map(|name| folder.join(name)).collect();
    assert_eq!(made.keys().cloned().collect::<Vec<_>>(), named, "each secret that is mounted, and nothing else");
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    // A container whose user is not the owner still has to read what is mounted.
    assert!(named.iter().all(|file| fs::metadata(file).unwrap().permissions().mode() & 0o777 == 0o444));
    assert!(made.values().all(|secret| secret.trim().len() >= 64));
    assert_eq!(made.values().collect::<std::collections::BTreeSet<_>>().len(), made.len(), "all differ");
    make_secrets(&folder);
    assert_eq!(contents(&folder), made);
}

#[tokio::test]
async fn the_composition_carries_a_command_to_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = cluster::start(dir.path(), &[]).await.unwrap();
    let superuser: Config = cluster.create_database("headwater").await.unwrap().parse().unwrap();
    let ports = (cluster.port(), free_port(), free_port(), free_port());
    let stack = Stack { dir: dir.path().into(), postgres: ports.0, nats: ports.1, monitor: ports.2, http: ports.3 };
    fs::create_dir(stack.secrets()).unwrap();
    fs::write(stack.secrets().join("postgres_password"), superuser.get_password().unwrap()).unwrap();
    make_secrets(&stack.secrets());
    assert_eq!(stack.health().code(), Some(3), "nobody is there yet");

    let bin = dir.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let nats_server = server_programs::find_nats_server(None).unwrap().path;
    let ours = ["headwater", "headwater-edge"].map(|name| (name, programs::beside(name)));
    for (name, program) in ours.into_iter().chain([("nats-server", nats_server)]) {
        std::os::unix::fs::symlink(program, bin.join(name)).unwrap();
    }
    stack.run("bus");
    let keys = || contents(&stack.volume("bus"));
    let made = keys();
    stack.run("bus");
    assert_eq!(keys(), made, "keys stay");
    assert_eq!(contents(&stack.volume("nats-conf")).len(), 1, "NATS sees no key");
    let _nats = stack.start("nats");
    let healthz = format!("http://127.0.0.1:{}/healthz", stack.monitor);
    eventually("nats-server is healthy", async || is_ok(&healthz).await, || stack.log("nats")).await;

    for _ in 0..2 {
        stack.run("install");
    }
    let _server = stack.start("server");
    eventually("the server is healthy", async || stack.health().success(), || stack.log("server")).await;
    // At the second start of all of it the node joins again, and an agent that is started again alone needs no token.
    for number in [1, 2, 1] {
        stack.run(&format!("token-{number}"));
        let agent = stack.start(&format!("edge-{number}"));
        let token = stack.volume(&format!("join-{number}")).join("token");
        let log = || stack.log(&format!("edge-{number}"));
        eventually("the token is used up", async || !token.exists() && log().contains("agent started"), log).await;
        drop(agent);
    }
    let _agents = ["edge-1", "edge-2"].map(|service| stack.start(service));

    let token = fs::read_to_string(stack.secrets().join("admin_token")).unwrap();
    let request = json!({"commands": [
        {"type": "put_document", "id": "motd", "path": "etc/motd", "media_type": "text/plain", "content": "hello\n",
         "target": {"all": true}, "priority": 0},
    ]});
    let commands = format!("{}/v1/commands", stack.url());
    let answer = http_client(None)
        .build()
        .unwrap()
        .post(commands)
        .bearer_auth(token.trim())
        .json(&request)
        .send()
        .await
        .unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    for node in ["edge-1", "edge-2"] {
        let file = stack.volume(node).join("current/files/etc/motd");
        let is_there = async || fs::read(&file).is_ok_and(|bytes| bytes == b"hello\n");
        eventually("the file is on the node", is_there, || stack.log(node)).await;
    }
}
