//! `headwater dev`: everything on this machine, for trying it out and for tests.
//!
//! A private PostgreSQL and nats-server, the server, and a few enrolled nodes without documents, each a process of its
//! own. Always: a child that dies is started again; all of them end with this process, in order if it is asked to and
//! at once if it is killed; a second start on the same folder goes on with the same log, keys, tokens and, while they
//! are free, ports. Absent on purpose: anything that is not done by the same programs elsewhere.

mod door;
mod json;
mod ours;
mod stack;

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::signal::unix::{Signal, SignalKind, signal};

pub use self::door::Refused;
pub use self::json::{DevJson, Node, Tokens};
use self::stack::Stack;

/// What `headwater dev` is told.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The folder for everything: databases, keys, logs and the nodes' files. Starting again on the same folder goes on
    /// where it was; removing the folder starts anew.
    #[arg(long, value_name = "DIR", default_value = ".headwater")]
    pub dir: PathBuf,

    /// How many edge nodes to enrol and run: node-1, node-2, …
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub nodes: u16,

    /// A shell command that each node runs on a new tree before it takes it; `{}` and HEADWATER_TREE are its path.
    #[arg(long, env = "HEADWATER_CHECK", value_name = "CMD")]
    pub check: Option<String>,

    /// A shell command that each node runs on a tree that it has taken; `{}` and HEADWATER_TREE are its path.
    #[arg(long, env = "HEADWATER_APPLY", value_name = "CMD")]
    pub apply: Option<String>,

    /// How many of the nodes are assessment runtimes as well, the first ones: they claim jobs and run --job-cmd for each.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "job_cmd")]
    pub runtimes: u16,

    /// A shell command that a runtime runs for each job that is due; `{}` and HEADWATER_JOB are the path of its spec.
    #[arg(long, env = "HEADWATER_JOB_CMD", value_name = "CMD")]
    pub job_cmd: Option<String>,

    /// How many jobs a runtime holds at once.
    #[arg(long, env = "HEADWATER_JOBS_MAX", value_name = "N", default_value_t = 10)]
    pub jobs_max: u32,

    /// Where the door listens [default: a free port of 127.0.0.1, the same as last time if it can be]
    #[arg(long, value_name = "ADDR")]
    pub http: Option<SocketAddr>,

    /// What to start beside our own.
    #[command(flatten)]
    pub programs: Programs,

    /// Print where everything is as JSON, on one line: what `dev.json` holds.
    #[arg(long)]
    pub json: bool,

    /// The `headwater` program to start the children with, if it is not this one.
    #[arg(skip)]
    pub program: Option<PathBuf>,
}

/// The programs of others that everything stands on.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Programs {
    /// The folder with `postgres` and `initdb` [default: HEADWATER_POSTGRES_BIN, or what PATH, the distribution or
    /// `make setup` has]
    #[arg(long, value_name = "DIR")]
    pub postgres_bin: Option<PathBuf>,

    /// The nats-server program [default: HEADWATER_NATS_SERVER, or what PATH or `make setup` has]
    #[arg(long, value_name = "PATH")]
    pub nats_server: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dir: ".headwater".into(),
            nodes: 3,
            check: None,
            apply: None,
            runtimes: 0,
            job_cmd: None,
            jobs_max: 10,
            http: None,
            programs: Programs::default(),
            json: false,
            program: None,
        }
    }
}

/// What can keep `headwater dev` from running.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine did not do its part.
    #[error(transparent)]
    Machine(#[from] crate::machine::Error),
    /// The door did not do its part.
    #[error(transparent)]
    Door(#[from] Refused),
    /// The door can't be asked.
    #[error(transparent)]
    Client(#[from] crate::client::error::Error),
    /// A token that is kept in the folder is damaged.
    #[error("a token in the folder's secrets/ is damaged: {0}")]
    Token(#[from] crate::client::place::BadToken),
    /// This program's own path, or the folder it was started in, is unknown.
    #[error("this program can't tell its own path and folder, to start its children with")]
    NoProgram(#[source] std::io::Error),
    /// An admin is installed whose token is not in the folder.
    #[error("the log has an admin, and secrets/admin.token is gone from the folder: remove the folder to start anew")]
    NoAdmin,
    /// Signals can't be listened to.
    #[error("signals can't be listened to")]
    NoSignals(#[source] std::io::Error),
    /// It was asked to end before everything was there; what had been started has been stopped.
    #[error("asked to end before everything was there")]
    Interrupted,
}

impl Error {
    /// The stable name of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Machine(error) => error.code(),
            Self::Door(_) | Self::Client(_) => "door",
            Self::Token(_) => "bad_token",
            Self::NoProgram(_) => "no_program",
            Self::NoAdmin => "no_admin",
            Self::NoSignals(_) => "no_signals",
            Self::Interrupted => "interrupted",
        }
    }
}

/// Starts everything, says where it is, and stops it when asked to end (Ctrl-C, SIGTERM, SIGHUP).
pub async fn run(options: Options) -> Result<(), Error> {
    let as_json = options.json;
    match start(options).await {
        Ok(running) => {
            let json = || format!("{}\n", running.json.to_text());
            let text = if as_json { json() } else { running.summary() };
            // Nobody may be listening any more; that is no reason to stop.
            let _unheard = std::io::stdout().write_all(text.as_bytes());
            running.wait().await;
            Ok(())
        }
        Err(Error::Interrupted) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Starts everything. When this returns, the door is ready, the nodes are enrolled and started, and `dev.json` is
/// written; when it fails, whatever had been started has been stopped.
pub async fn start(options: Options) -> Result<Running, Error> {
    let mut signals = Signals::listen().map_err(Error::NoSignals)?;
    let mut stack = Stack::new(options)?;
    // Kept off the callers' stacks, since it is the sum of everything that it waits for.
    let risen = tokio::select! {
        risen = Box::pin(stack.rise()) => risen,
        () = signals.any() => Err(Error::Interrupted),
    };
    match risen {
        Ok(json) => Ok(Running { json, signals, stack }),
        Err(error) => {
            stack.stop().await;
            Err(error)
        }
    }
}

/// Everything, running. Dropping it ends it as well, but in no order.
#[derive(Debug)]
pub struct Running {
    /// Where everything is; the content of `dev.json`.
    pub json: DevJson,
    signals: Signals,
    stack: Stack,
}

impl Running {
    /// Waits until this process is asked to end, and then stops everything.
    pub async fn wait(mut self) {
        self.interrupted().await;
        tracing::info!("stopping");
        self.stop().await;
    }

    /// Waits until this process is asked to end (Ctrl-C, SIGTERM, SIGHUP), and stops nothing.
    pub async fn interrupted(&mut self) {
        self.signals.any().await;
    }

    /// Stops everything: the nodes, the server, NATS, PostgreSQL.
    pub async fn stop(mut self) {
        self.stack.stop().await;
    }

    /// Where everything is, for people.
    pub fn summary(&self) -> String {
        let (json, folder) = (&self.json, self.stack.folder());
        let path = folder.path().display();
        let mut text = format!("Headwater runs in {path}\n\n");
        let mut line = |what: &str, place: String| {
            writeln!(text, "  {what:<10} {place}").expect("BUG: a String takes any text");
        };
        line("door", json.http.clone());
        line("database", without_password(&json.database));
        line("nats", without_password(&json.nats));
        for node in &json.nodes {
            line(&node.id, node.dir.display().to_string());
        }
        if let Some(data) = &json.data {
            line("data", data.display().to_string());
        }
        line("logs", folder.logs().display().to_string());
        line("dev.json", format!("{path}/dev.json (the same for scripts, with tokens and passwords)"));
        text.push_str("\nCtrl-C stops it all.\n");
        text
    }
}

/// The URL as it may be shown on a screen.
fn without_password(url: &str) -> String {
    url::Url::parse(url).map_or_else(
        |_| String::new(),
        |mut url| {
            // Fails only for a URL that can't have one.
            let _has_none = url.set_password(None);
            url.to_string()
        },
    )
}

/// What asks this process to end.
#[derive(Debug)]
struct Signals([Signal; 3]);

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?]))
    }

    async fn any(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Alone {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn the_defaults_are_the_same_from_the_command_line_and_from_code() {
        let parsed = <Alone as clap::Parser>::parse_from(["dev"]).options;
        assert_eq!(format!("{parsed:?}"), format!("{:?}", Options::default()));
    }

    #[test]
    fn a_password_is_not_shown() {
        let shown = without_password("nats://headwater:secret@127.0.0.1:4222");
        assert_eq!(shown, "nats://headwater@127.0.0.1:4222");
    }
}
