//! Puts aside messages of the event stream that the log does not have: foreign ones, or events that nobody needs back.
//!
//! What always holds: no event that was signed for this log is put aside, and messages are copied before they are removed.

use program::output::{self, StdoutError};
use schema::position::Position;
use serde_json::json;

use crate::continuity::check_node_proof;
use crate::publish::rebuild::{CopyLimit, StreamRebuild};
use crate::publish::recovery_scan;
use crate::publish::stream_comparison::{ExcessOrigin, StreamExcess};

use super::{Error, Recovery};

/// The operator asked for it, so everything is copied.
const ALL: CopyLimit = CopyLimit { messages: u64::MAX, bytes: usize::MAX };

/// The messages that were put aside.
#[derive(Debug)]
pub struct PutAside {
    /// The position of the first.
    from: Position,
    messages: u64,
    /// The stream with the copies.
    to: String,
}

impl Recovery {
    pub(super) async fn put_aside(&self) -> Result<PutAside, Error> {
        let (comparison, (_, head), excess) = self.compare().await?;
        let (jetstream, prefix) = (self.link.jetstream(), &self.options.nats.nats_prefix);
        let to = prefix.stray_stream();
        let Some(excess) = excess else { return Ok(PutAside { from: head.next(), messages: 0, to }) };
        let StreamExcess { agreed, origin, .. } = excess;
        if let ExcessOrigin::OtherLog(other) = origin {
            let why = format!("it is that of log {other}, and this is log {}", self.reader.log_id());
            return Err(Error::NotAside(why));
        }
        if !self.goes_on().await? {
            let why = "this log's key signed for events that the database lacks: `--adopt-stream` takes them back";
            return Err(Error::NotAside(why.to_owned()));
        }
        let seen = recovery_scan::seen(&jetstream, prefix, (self.reader.log_id(), self.reader.public_key())).await?;
        for (node, seen) in seen {
            let proven = seen.proven.map(|cause| (node, cause));
            check_node_proof(&self.reader, proven, head).await.map_err(|error| Error::NotAside(error.to_string()))?;
        }
        let replicas = usize::from(self.options.streams.nats_replicas);
        let mut remake = StreamRebuild::new(jetstream, prefix.clone(), replicas);
        let (_, messages) = remake.copy(&comparison, (agreed, head), ALL).await?;
        remake.run(agreed).await?;
        Ok(PutAside { from: agreed.next(), messages, to })
    }
}

impl PutAside {
    pub(super) fn print(&self, json: bool) -> Result<(), StdoutError> {
        let Self { from, messages, to } = self;
        match (json, messages) {
            (true, _) => output::json(&format!("{:#}", json!({"from": from, "put_aside": messages, "stream": to}))),
            (false, 0) => output::text("the event stream holds nothing that the log lacks\n"),
            (false, _) => output::text(&format!(
                "{messages} messages from position {from} on were put aside to stream {to}; the relay fills the event stream \
                 again from the log\n"
            )),
        }?;
        Ok(())
    }
}
