//! `headwater events`: what happened, in the order in which it did, and on request what happens next.
//!
//! Always: each event once and none left out, also when the door goes away for a while; with `--json` a line for each.
//! Absent on purpose: an end of `--follow` other than being stopped, or being refused.

mod line;
mod reading;
mod since;

use std::ops::ControlFlow;

use clap::Args;
use program::backoff::Backoff;
use program::output::{self, PipeState, StdoutError};
use schema::entity::Entity;

use crate::door::Door;
use crate::get::Error;
use crate::place::Options as Place;

use self::reading::{Event, Reading};
use self::since::Since;

/// What to show.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
  headwater events --last 20 --no-reports       the last changes somebody made\n  \
  headwater events --since 10m                  the last ten minutes\n  \
  headwater events --after 100                  what came after position 100\n  \
  headwater events --entity node/node-1         all that happened to one node\n  \
  headwater events --follow --json | jq .type   every event, and on")]
pub struct Options {
    /// Go on with what happens next, until stopped.
    #[arg(long, short)]
    follow: bool,

    /// Only what came after this position.
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    after: u64,

    /// Only the last so many events, of those that are to be shown.
    #[arg(long, value_name = "N")]
    last: Option<u32>,

    /// Only what happened at this time or after it: RFC 3339, or so long ago, such as 90s, 10m, 2h or 7d.
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,

    /// Only what is about this, written KIND/ID.
    #[arg(long, value_name = "KIND/ID")]
    entity: Option<Entity>,

    /// Only events of this type.
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,

    /// Leave out what nodes said of themselves.
    #[arg(long)]
    no_reports: bool,

    /// Print JSON, a line for each event.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    place: Place,
}

/// Shows it.
///
/// # Errors
/// If the door refuses; if it can't be reached, unless it was before and is followed; if the output can't be written.
pub async fn run(options: Options) -> Result<(), Error> {
    let reading =
        Reading { door: Door::of(&options.place)?, narrowed: options.narrowed(), no_reports: options.no_reports };
    let mut after = options.after;
    if let Some(Since(time)) = options.since {
        after = after.max(reading.before(time).await?);
    }
    if let Some(count) = options.last {
        let (events, head) = reading.last(count as usize, after).await?;
        for event in &events {
            if options.show(event)?.is_break() {
                return Ok(());
            }
        }
        after = after.max(head);
    } else if !options.follow {
        return reading.each(after, u64::MAX, |event| Ok(options.show(&event)?)).await;
    }
    if options.follow { options.follow(&reading, after).await } else { Ok(()) }
}

impl Options {
    fn narrowed(&self) -> Vec<(&'static str, String)> {
        let entity = self.entity.iter().map(|entity| ("entity", entity.to_string()));
        entity.chain(self.event_type.iter().map(|event_type| ("type", event_type.clone()))).collect()
    }

    /// Live, and again from where it was whenever the stream ends.
    async fn follow(&self, reading: &Reading, mut after: u64) -> Result<(), Error> {
        let mut was_there = false;
        let mut backoff = Backoff::default();
        loop {
            let before = after;
            match self.follow_once(reading, &mut after, &mut was_there).await {
                Ok(ControlFlow::Break(())) => return Ok(()),
                Ok(ControlFlow::Continue(())) => {}
                Err(Error::Door(error)) if error.is_unreachable() && was_there => {
                    output::complain(&format!("{error}; trying again after position {after}"));
                }
                Err(error) => return Err(error),
            }
            if after > before {
                backoff.reset();
            }
            tokio::time::sleep(backoff.failed()).await;
        }
    }

    async fn follow_once(
        &self,
        reading: &Reading,
        after: &mut u64,
        was_there: &mut bool,
    ) -> Result<ControlFlow<()>, Error> {
        let mut stream = reading.stream(*after).await?;
        *was_there = true;
        while let Some(data) = stream.next().await? {
            let event = reading.event(&data, *after)?;
            if reading.wants(&event) && self.show(&event)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            *after = event.position;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Prints an event, as JSON in the door's own words; breaks off where nobody reads any more.
    fn show(&self, event: &Event) -> Result<ControlFlow<()>, StdoutError> {
        Ok(match if self.json { output::json(&event.words) } else { output::text(&line::written(&event.value)) }? {
            PipeState::Open => ControlFlow::Continue(()),
            PipeState::Closed => ControlFlow::Break(()),
        })
    }
}
