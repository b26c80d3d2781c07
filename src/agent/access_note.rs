//! Whether NATS lets this node in: `nats-refused.json`, for `edge status` and `edge propose`.
//!
//! The file is there while NATS refuses the node, also when its agent does not run; the agent removes it once it is let in again. A NATS
//! that is away, or that nobody answers, is no refusal: nodes live with that.

use std::fs;
use std::io::{self, ErrorKind};
use std::time::Duration;

use bus::connect::{AccessRefusal, Link, NatsAccess};
use program::clock::system_time;
use program::durable_file::{self, FileMode};
use schema::instant::Instant;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::disk;
use crate::layout::Layout;

/// The format that is written.
const FORMAT: u16 = 1;
/// A refusal is noted after this time: right after a node was enrolled, a server may not know it yet.
const NOTED_AFTER: Duration = Duration::from_secs(3);
/// How often the connection is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// NATS refuses this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessNote {
    /// The format of the file.
    pub v: u16,
    /// Who the node is for NATS, such as `key U…`.
    pub identity: String,
    /// Since when, by the node's clock.
    pub since: Instant,
}

impl AccessNote {
    /// The note in a folder. One that can't be read is none: it decides nothing.
    #[must_use]
    pub fn read(layout: &Layout) -> Option<Self> {
        let text = fs::read(layout.nats_refused()).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// What it means, in one sentence.
    #[must_use]
    pub fn meaning(&self) -> String {
        format!("NATS has refused this node ({}) since {}", self.identity, self.since)
    }

    /// Keeps the note of a folder as the connection is, for ever.
    pub(crate) async fn follow(link: Link, layout: Layout) {
        let mut noted = Self::read(&layout);
        loop {
            let now = match link.access() {
                NatsAccess::LetIn => None,
                NatsAccess::Refused(AccessRefusal::Credentials, so_long) if so_long >= NOTED_AFTER => {
                    let identity = link.identity();
                    let known = noted.clone().filter(|known| known.identity == identity);
                    Some(known.unwrap_or_else(|| Self { v: FORMAT, identity, since: system_time() }))
                }
                _ => noted.clone(),
            };
            if now != noted {
                match Self::put(&layout, now.as_ref()) {
                    Ok(()) => noted = now,
                    Err(error) => tracing::debug!(%error, "whether NATS refuses this node can't be noted"),
                }
            }
            sleep(LOOK_EVERY).await;
        }
    }

    fn put(layout: &Layout, note: Option<&Self>) -> io::Result<()> {
        let path = layout.nats_refused();
        let Some(note) = note else {
            return match fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        };
        let text = serde_json::to_vec_pretty(note).expect("BUG: texts and numbers can be written as JSON");
        durable_file::replace(&path, &text, FileMode::Exact(disk::FILE_MODE))
    }
}
