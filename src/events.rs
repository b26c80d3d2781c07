//! `headwater events`: what happened, in the order in which it did, and on request what happens next.
//!
//! Always: each event once and none left out, also when the door goes away for a while; with `--json` a line for each.
//! Absent on purpose: an end of `--follow` other than being stopped, or being refused.

use std::io::Write as _;
use std::ops::ControlFlow;

use clap::Args;
use schema::entity::Entity;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::backoff::Backoff;
use crate::client::door::{Door, asked};
use crate::client::error::Error;
use crate::client::place::Options as Place;
use crate::get::table::{plain, said};

/// What to show.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
  headwater events --after 100                  what came after position 100\n  \
  headwater events --entity node/node-1         all that happened to one node\n  \
  headwater events --follow --json | jq .type   every event from the first, and on")]
pub struct Options {
    /// Go on with what happens next, until stopped.
    #[arg(long, short)]
    follow: bool,

    /// Only what came after this position.
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    after: u64,

    /// Only what is about this, written KIND/ID.
    #[arg(long, value_name = "KIND/ID")]
    entity: Option<Entity>,

    /// Only events of this type.
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,

    /// Print JSON, a line for each event.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    place: Place,
}

/// Shows it.
///
/// # Errors
/// If the door refuses; if it can't be reached, unless it was before and is followed.
pub async fn run(options: Options) -> Result<(), Error> {
    let door = Door::of(&options.place)?;
    if options.follow { options.follow(&door).await } else { options.list(&door).await }
}

impl Options {
    /// Page by page, so that a log of any length can be shown.
    async fn list(&self, door: &Door) -> Result<(), Error> {
        // The cursor of such a list is a position.
        let (mut cursor, narrowed) = (Some(self.after.to_string()), self.narrowed());
        let narrowed: Vec<(&str, &str)> = narrowed.iter().map(|(name, text)| (*name, text.as_str())).collect();
        while let Some(at) = cursor {
            let page = door.page::<Box<RawValue>>("/v1/events", &narrowed, &at).await?;
            for event in &page.items {
                let read = Self::read(door, event.get())?;
                if self.show(event.get(), &read).is_break() {
                    return Ok(());
                }
            }
            cursor = page.next;
        }
        Ok(())
    }

    /// Live, and again from where it was whenever the stream ends.
    async fn follow(&self, door: &Door) -> Result<(), Error> {
        let (mut after, mut was_there) = (self.after, false);
        let mut backoff = Backoff::default();
        loop {
            let before = after;
            match self.follow_once(door, &mut after, &mut was_there).await {
                Ok(ControlFlow::Break(())) => return Ok(()),
                Ok(ControlFlow::Continue(())) => {}
                Err(error) if error.is_unreachable() && was_there => {
                    eprintln!("headwater: {error}; trying again after position {after}");
                }
                Err(error) => return Err(error),
            }
            if after > before {
                backoff.reset();
            }
            tokio::time::sleep(backoff.failed()).await;
        }
    }

    async fn follow_once(&self, door: &Door, after: &mut u64, was_there: &mut bool) -> Result<ControlFlow<()>, Error> {
        let from = after.to_string();
        let narrowed = self.narrowed();
        let mut query: Vec<(&str, &str)> = narrowed.iter().map(|(name, text)| (*name, text.as_str())).collect();
        query.push(("after", &from));
        let mut stream = door.follow(&asked("/v1/events", &query)).await?;
        *was_there = true;
        while let Some(data) = stream.next().await? {
            let event = Self::read(door, &data)?;
            if self.show(&data, &event).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            *after = event["position"].as_u64().unwrap_or(*after);
        }
        Ok(ControlFlow::Continue(()))
    }

    fn narrowed(&self) -> Vec<(&'static str, String)> {
        let entity = self.entity.iter().map(|entity| ("entity", entity.to_string()));
        entity.chain(self.event_type.iter().map(|event_type| ("type", event_type.clone()))).collect()
    }

    fn read(door: &Door, event: &str) -> Result<Value, Error> {
        serde_json::from_str(event).map_err(|source| Error::Strange { url: door.url().to_string(), source })
    }

    /// Prints an event, as JSON in the door's own words; breaks off where nobody reads any more.
    fn show(&self, words: &str, event: &Value) -> ControlFlow<()> {
        let line = if self.json { format!("{words}\n") } else { line(event) };
        match std::io::stdout().write_all(line.as_bytes()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

/// An event on one line. Its columns stand below each other as far as they can: a stream knows no widest one.
fn line(event: &Value) -> String {
    let text = |name: &str| said(&event[name]);
    let reason = event["reason"].as_str().map_or_else(String::new, |reason| format!("  \"{}\"", plain(reason)));
    let (position, at, kind) = (text("position"), text("at"), text("type"));
    let (entity, version, actor) = (text("entity"), text("version"), text("actor"));
    format!("{position:>8}  {at}  {kind:18}  {entity} v{version}  by {actor}{reason}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_is_one_line_whatever_its_reason() {
        let event = json!({"position": 12, "at": "2026-01-01T00:00:00.000000Z", "type": "NodeEnrolled",
            "entity": "node/a", "version": 1, "actor": "ann", "reason": "one\n\u{1b}[2Jtwo", "data": {}});
        let expected =
            "      12  2026-01-01T00:00:00.000000Z  NodeEnrolled        node/a v1  by ann  \"one \u{fffd}[2Jtwo\"\n";
        assert_eq!(line(&event), expected);
    }
}
