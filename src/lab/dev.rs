//! `headwater dev`: all of Headwater on this machine, for trying it out and for tests.
//!
//! It starts a private PostgreSQL and nats-server, the server, and a few enrolled nodes without documents, each as a process.
//! Invariants: a child that dies is restarted; all children end with this process, in order if it is asked to stop and at once if
//! it is killed; a second start on the same folder continues with the same log, keys, tokens and, if they are free, ports.

mod api_requests;
mod certificates;
mod children;
mod error;
mod json;
mod options;
mod stack;

use std::fmt::Write as _;

use client::endpoint::ServerUrl;
use tokio::signal::unix::{Signal, SignalKind, signal};

pub use self::api_requests::DevRequestError;
pub use self::error::Error;
pub use self::json::{DevJson, DevNode, Tokens};
pub use self::options::{Options, Programs};
use self::stack::DevStack;
use program::output;

/// Starts everything, prints the addresses, and stops it on Ctrl-C, SIGTERM or SIGHUP.
pub async fn run(options: Options) -> Result<(), Error> {
    let as_json = options.json;
    match start(options).await {
        Ok(running) => {
            // A closed pipe is no reason to stop.
            let printed =
                if as_json { output::json(&running.json.to_text()) } else { output::text(&running.summary()) };
            match printed {
                Ok(_) => running.wait().await,
                Err(_) => running.stop().await,
            }
            printed.map(drop).map_err(Error::Output)
        }
        Err(Error::Interrupted) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Starts everything. On success the server is ready, the nodes are enrolled and started, and `dev.json` is written; on failure
/// everything that was started has been stopped.
pub async fn start(options: Options) -> Result<RunningDev, Error> {
    let mut signals = Signals::listen().map_err(Error::NoSignals)?;
    let mut stack = DevStack::new(options)?;
    // Boxed, since this future is large.
    let started = tokio::select! {
        started = Box::pin(stack.start()) => started,
        () = signals.any() => Err(Error::Interrupted),
    };
    match started {
        Ok(json) => Ok(RunningDev { json, signals, stack }),
        Err(error) => {
            stack.stop().await;
            Err(error)
        }
    }
}

/// All processes. Dropping it kills them in no order.
#[derive(Debug)]
pub struct RunningDev {
    /// The content of `dev.json`.
    pub json: DevJson,
    signals: Signals,
    stack: DevStack,
}

impl RunningDev {
    /// Waits for Ctrl-C, SIGTERM or SIGHUP, and then stops everything.
    pub async fn wait(mut self) {
        self.interrupted().await;
        tracing::info!("stopping");
        self.stop().await;
    }

    /// Waits for Ctrl-C, SIGTERM or SIGHUP, and stops nothing.
    pub async fn interrupted(&mut self) {
        self.signals.any().await;
    }

    /// Stops the nodes, the server, NATS, PostgreSQL, in this order.
    pub async fn stop(mut self) {
        self.stack.stop().await;
    }

    /// The link with which a browser signs in to the console as the administrator.
    pub(crate) fn console_link(&self) -> String {
        let (server, token) = (self.json.http.parse::<ServerUrl>(), self.json.tokens.admin.parse());
        server.expect("BUG: dev made this URL").sign_in_link(&token.expect("BUG: dev made this token"))
    }

    /// The addresses, for people.
    pub fn summary(&self) -> String {
        let (json, folder) = (&self.json, self.stack.folder());
        let path = folder.path().display();
        let mut text = format!("Headwater runs in {path}\n\n");
        let mut line = |what: &str, place: String| {
            writeln!(text, "  {what:<10} {place}").expect("BUG: a String takes any text");
        };
        line("door", json.http.clone());
        line("console", self.console_link());
        line("database", without_password(&json.database));
        line("nats", without_password(&json.nats));
        if let Some(ca_file) = &json.ca_file {
            line("CA", ca_file.display().to_string());
        }
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

fn without_password(url: &str) -> String {
    url::Url::parse(url).map_or_else(
        |_| String::new(),
        |mut url| {
            // Fails only for a URL that can't have a password.
            let _has_none = url.set_password(None);
            url.to_string()
        },
    )
}

/// SIGINT, SIGTERM and SIGHUP.
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
