//! `headwater events`: the events of the log in their order, and with `--follow` those to come.
//!
//! Always: each event once and none left out, also when the server is away for a while; with `--json` one line for each.
//! `--follow` ends only when it is stopped or refused.

mod event_line;
pub(crate) mod event_reader;
mod since_time;

use std::ops::ControlFlow;

use api::query::{ENTITY, TYPE};
use clap::Args;
use program::backoff::Backoff;
use program::output::{self, PipeState, StdoutError};
use schema::entity::Entity;

use crate::api_client::ApiClient;
use crate::endpoint::Options as Endpoint;
use crate::get::Error;

use self::event_reader::{EventReader, ReceivedEvent};
use self::since_time::SinceTime;

/// Which events to show, and how.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
  headwater events --last 20 --no-reports       the last events but reports\n  \
  headwater events --since 10m                  the last ten minutes\n  \
  headwater events --after 100                  the events after position 100\n  \
  headwater events --entity node/node-1         all events about one node\n  \
  headwater events --follow --json | jq .type   every event, and those to come")]
pub struct Options {
    /// Go on with the events to come, until stopped.
    #[arg(long, short)]
    follow: bool,

    /// Only events after this position.
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    after: u64,

    /// Only the last N of the events that would be shown.
    #[arg(long, value_name = "N")]
    last: Option<u32>,

    /// Only events at this time or later: RFC 3339, or how long ago, such as 90s, 10m, 2h or 7d.
    #[arg(long, value_name = "TIME")]
    since: Option<SinceTime>,

    /// Only events about this entity, written KIND/ID.
    #[arg(long, value_name = "KIND/ID")]
    entity: Option<Entity>,

    /// Only events of this type.
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,

    /// Leave out the reports of nodes.
    #[arg(long)]
    no_reports: bool,

    /// Print JSON, one line for each event.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    endpoint: Endpoint,
}

/// Prints the events.
///
/// # Errors
/// If the server refuses; if it can't be reached, unless `--follow` had reached it before; if the output can't be written.
pub async fn run(options: Options) -> Result<(), Error> {
    let reader = EventReader {
        client: ApiClient::from_options(&options.endpoint)?,
        filter: options.filter(),
        no_reports: options.no_reports,
    };
    let mut after = options.after;
    if let Some(SinceTime(time)) = options.since {
        after = after.max(reader.position_before(time).await?);
    }
    if let Some(count) = options.last {
        let (events, head) = reader.last(count as usize, after).await?;
        for event in &events {
            if options.show(event)?.is_break() {
                return Ok(());
            }
        }
        after = after.max(head);
    } else if !options.follow {
        return reader.for_each(after, u64::MAX, |event| Ok(options.show(&event)?)).await;
    }
    if options.follow { options.follow_events(&reader, after).await } else { Ok(()) }
}

impl Options {
    fn filter(&self) -> Vec<(&'static str, String)> {
        let entity = self.entity.iter().map(|entity| (ENTITY, entity.to_string()));
        entity.chain(self.event_type.iter().map(|event_type| (TYPE, event_type.clone()))).collect()
    }

    /// Follows the live stream, and opens it again after the last event whenever it ends.
    async fn follow_events(&self, reader: &EventReader, mut after: u64) -> Result<(), Error> {
        let mut was_reached = false;
        let mut backoff = Backoff::default();
        loop {
            let before = after;
            match self.follow_stream(reader, &mut after, &mut was_reached).await {
                Ok(ControlFlow::Break(())) => return Ok(()),
                Ok(ControlFlow::Continue(())) => {}
                Err(Error::Server(error)) if error.is_unreachable() && was_reached => {
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

    async fn follow_stream(
        &self,
        reader: &EventReader,
        after: &mut u64,
        was_reached: &mut bool,
    ) -> Result<ControlFlow<()>, Error> {
        let mut stream = reader.open_stream(*after).await?;
        *was_reached = true;
        while let Some(data) = stream.next().await? {
            let event = reader.parse(&data, *after)?;
            if reader.is_wanted(&event) && self.show(&event)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            *after = event.position;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Prints an event, as the server's JSON or as one line; breaks off once the reader of the output has closed it.
    fn show(&self, event: &ReceivedEvent) -> Result<ControlFlow<()>, StdoutError> {
        let pipe = match self.json {
            true => output::json(&event.json),
            false => output::text(&event_line::format_event(&event.value)),
        };
        Ok(match pipe? {
            PipeState::Open => ControlFlow::Continue(()),
            PipeState::Closed => ControlFlow::Break(()),
        })
    }
}
