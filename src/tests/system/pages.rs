//! The pages for operators, run as they stand: their `sh` blocks in one shell, one page after another, on a PostgreSQL and a NATS of
//! their own.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lab::{port, server_programs};
use rustix::process::{Pid, Signal, kill_process_group};
use testkit::backends::TestBackends;
use testkit::eventually::eventually;
use testkit::programs;

/// How long the pages of one shell may take.
const DEADLINE: Duration = Duration::from_secs(150);

/// A page of `docs/how-to`: the heading and the text of each `sh` block.
struct Page {
    name: &'static str,
    blocks: Vec<(String, String)>,
}

impl Page {
    fn read(name: &'static str) -> Self {
        let text = fs::read_to_string(programs::checkout().join("docs/how-to").join(name)).unwrap();
        let (mut blocks, mut heading, mut is_block) = (Vec::new(), String::new(), false);
        for line in text.lines() {
            match line {
                "```sh" => {
                    is_block = true;
                    blocks.push((heading.clone(), String::new()));
                }
                "```" => is_block = false,
                line if is_block => {
                    let (_, block) = blocks.last_mut().unwrap();
                    *block = format!("{block}{line}\n");
                }
                line => heading = line.strip_prefix("## ").unwrap_or(&heading).to_owned(),
            }
        }
        assert!(!is_block && !blocks.is_empty(), "{name} has blocks");
        Self { name, blocks }
    }

    /// The blocks below the headings that begin like this.
    fn below(&self, heading: &str) -> Script {
        let below = |(found, _): &&(String, String)| found.starts_with(heading);
        let blocks: Vec<_> = self.blocks.iter().filter(below).map(|(_, block)| block.as_str()).collect();
        assert!(!blocks.is_empty(), "{} has a block below {heading:?}", self.name);
        Script(blocks.iter().map(|block| format!("echo '== {}'\n{block}", self.name)).collect())
    }

    fn whole(&self) -> Script {
        self.below("")
    }
}

/// What a shell runs.
struct Script(String);

impl Script {
    fn then(self, next: &Self) -> Self {
        Self(self.0 + &next.0)
    }

    /// What the test does between two blocks.
    fn and(self, between: &str) -> Self {
        Self(self.0 + between)
    }

    /// Runs it to its end, and gives what it printed. Everything that it started ends with it.
    async fn run(self, backends: &TestBackends, variables: &[(&str, &str)]) -> String {
        let dir = backends.dir.path().join(variables[0].1);
        fs::create_dir(&dir).unwrap();
        let log = dir.join("pages.log");
        // The pages look once a second, and a test more often.
        let script = format!("set -eux\nsleep() {{ command sleep 0.1; }}\n{}", self.0);
        let output = File::create(&log).unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).current_dir(&dir).process_group(0).stdin(Stdio::null());
        shell
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .envs(shared(backends, &dir))
            .envs(variables.iter().copied());
        let mut running = Group(shell.spawn().unwrap());
        let ended = eventually("the pages come to their end", DEADLINE, async || {
            running.0.try_wait().unwrap().ok_or_else(|| fs::read_to_string(&log).unwrap())
        })
        .await;
        let said = fs::read_to_string(&log).unwrap();
        let served = fs::read_to_string(dir.join("serve.log")).unwrap_or_default();
        assert!(ended.success(), "{said}\n== serve.log\n{served}");
        said
    }
}

/// A shell, and whatever it left running.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        let _gone = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        let _ended = self.0.wait();
    }
}

/// The variables that the page of the installation asks for, and the secrets that it takes for given.
fn shared(backends: &TestBackends, dir: &Path) -> Vec<(&'static str, String)> {
    let (secrets, nodes) = (dir.join("secrets"), dir.join("nodes"));
    fs::create_dir(&secrets).unwrap();
    fs::create_dir(&nodes).unwrap();
    let password = |url: &str| url.split_once("://").unwrap().1.split(['@', ':']).nth(1).unwrap().to_owned();
    let superuser = password(&backends.database());
    for (name, secret) in [("postgres", &superuser), ("owner", &"an owner's".to_owned())] {
        fs::write(secrets.join(format!("{name}_password")), secret).unwrap();
    }
    let programs =
        [programs::headwater().parent().unwrap().to_owned(), server_programs::find_postgres(None).unwrap().bin];
    let path = programs.iter().map(|bin| bin.display().to_string()).chain([std::env::var("PATH").unwrap()]);
    let http = format!("127.0.0.1:{}", port::free(None).unwrap());
    vec![
        ("PATH", path.collect::<Vec<_>>().join(":")),
        ("PGHOST", "127.0.0.1".to_owned()),
        ("PGPORT", backends.postgres.port().to_string()),
        ("PGUSER", "postgres".to_owned()),
        ("PGPASSWORD", superuser),
        ("NATS", backends.nats_url()),
        // The folder that this nats-server has its `bus.conf` from: the page finds the keys there already.
        ("BUS", backends.bus().display().to_string()),
        ("SECRETS", secrets.display().to_string()),
        ("NODES", nodes.display().to_string()),
        ("HEADWATER_URL", format!("http://{http}")),
        ("HEADWATER_HTTP", http),
    ]
}

fn says(said: &str, wanted: &[&str]) {
    for part in wanted {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
}

/// A document that the backup does not have.
const AFTER_THE_BACKUP: &str = r#"
curl -sSf "$HEADWATER_URL/v1/commands" -H "Authorization: Bearer $HEADWATER_TOKEN" --json '{"commands": [{"type": "put_document",
    "id": "after", "path": "etc/after", "media_type": "text/plain", "content": "the backup", "target": {"all": true}, "priority": 0}]}'
until [ -e "$NODES/node-1/current/files/etc/after" ]; do sleep 1; done
"#;
/// It is there although the database was put back.
const IS_BACK: &str = "headwater get documents after\n";

#[tokio::test]
async fn the_pages_for_operators_do_what_they_say() {
    let backends = TestBackends::with_identities().await;
    let install = Page::read("install.md");
    // The owner of a database, before the roles are there.
    let [prepare, start] = ["1.", "3."].map(|heading| install.below(heading));
    let owned = prepare.then(&install.below("2, without")).then(&start);
    let said = owned.run(&backends, &[("DB", "owned"), ("HEADWATER_NATS_PREFIX", "owned")]).await;
    says(
        &said,
        &[
            "logical",
            "the relay makes it when it first starts",
            "the token was written to",
            "\nready\n",
            "relay: following",
        ],
    );

    let [backup, access] = ["back-up-and-restore.md", "give-access.md"].map(Page::read);
    let whole = |name| Page::read(name).whole();
    let pages = (install.below("1.").then(&install.below("2. ")).then(&start).then(&install.below("4.")))
        .then(&access.whole())
        .then(&whole("watch-and-alert.md"))
        .then(&whole("runbook.md"))
        .then(&whole("upgrade.md"))
        .then(&whole("edge-without-network.md"))
        .then(&backup.below("Back up"))
        .then(&backup.below("Try"))
        .and(AFTER_THE_BACKUP)
        .then(&backup.below("Restore"))
        .then(&start)
        .and(IS_BACK)
        .then(&whole("replace-a-machine.md"))
        .and(IS_BACK);
    let said = pages.run(&backends, &[("DB", "fleet_log")]).await;
    says(
        &said,
        &[
            "\nhello\n",
            "state: converged",
            "grafana-2",
            "headwater_build_info{version=",
            "\"ready\":true",
            "wal_status",
            "events are missing",
        ],
    );
}
