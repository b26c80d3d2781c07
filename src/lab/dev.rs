//! `headwater dev`: everything on this machine, for trying it out and for tests.
//!
//! A private PostgreSQL and nats-server, the server, and a few enrolled nodes without documents, each a process of its
//! own. Always: a child that dies is started again; all of them end with this process, in order if it is asked to and
//! at once if it is killed; a second start on the same folder goes on with the same log, keys, tokens and, while they
//! are free, ports. Absent on purpose: anything that is not done by the same programs elsewhere.

mod children;
mod door;
mod error;
mod json;
mod options;
mod stack;

use std::fmt::Write as _;

use tokio::signal::unix::{Signal, SignalKind, signal};

pub use self::door::DoorError;
pub use self::error::Error;
pub use self::json::{DevJson, DevNode, Tokens};
pub use self::options::{Options, Programs};
use self::stack::Stack;
use program::output;

/// Starts everything, says where it is, and stops it when asked to end (Ctrl-C, SIGTERM, SIGHUP).
pub async fn run(options: Options) -> Result<(), Error> {
    let as_json = options.json;
    match start(options).await {
        Ok(running) => {
            // Nobody may be listening any more; that is no reason to stop.
            let told = if as_json { output::json(&running.json.to_text()) } else { output::text(&running.summary()) };
            match told {
                Ok(_) => running.wait().await,
                Err(_) => running.stop().await,
            }
            told.map(drop).map_err(Error::Output)
        }
        Err(Error::Interrupted) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Starts everything. When this returns, the door is ready, the nodes are enrolled and started, and `dev.json` is
/// written; when it fails, whatever had been started has been stopped.
pub async fn start(options: Options) -> Result<RunningDev, Error> {
    let mut signals = Signals::listen().map_err(Error::NoSignals)?;
    let mut stack = Stack::new(options)?;
    // Kept off the callers' stacks, since it is the sum of everything that it waits for.
    let risen = tokio::select! {
        risen = Box::pin(stack.rise()) => risen,
        () = signals.any() => Err(Error::Interrupted),
    };
    match risen {
        Ok(json) => Ok(RunningDev { json, signals, stack }),
        Err(error) => {
            stack.stop().await;
            Err(error)
        }
    }
}

/// Everything, running. Dropping it ends it as well, but in no order.
#[derive(Debug)]
pub struct RunningDev {
    /// Where everything is; the content of `dev.json`.
    pub json: DevJson,
    signals: Signals,
    stack: Stack,
}

impl RunningDev {
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

    #[test]
    fn a_password_is_not_shown() {
        let shown = without_password("nats://headwater:secret@127.0.0.1:4222");
        assert_eq!(shown, "nats://headwater@127.0.0.1:4222");
    }
}
