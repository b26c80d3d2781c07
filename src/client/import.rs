//! `headwater import`: definitions from files of another language, made through the door as everybody makes them.
//!
//! Reads all files, asks the door what is there, and sends what differs in ordered requests, each valid once those before it
//! are done. Always: nothing is sent before every file is read and understood; what is there already as the files say it is
//! not sent again, so a second run appends nothing; a definition that somebody else changed since it was compared is refused
//! by its version. Absent on purpose: removing what the files do not name.

mod compare;
mod error;
mod requests;
mod summary;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use schema::answer::Answer;
use schema::position::Position;
use serde::Deserialize;
use serde_json::Value;

use self::compare::{Change, There};
pub use self::error::Error;
use self::requests::{Limits, Step};
use self::summary::Summary;
use crate::door::Door;
use crate::oscal::definition::Kind;
use crate::oscal::document;
use crate::oscal::draft::Draft;
use crate::oscal::plan::{Known, Plan};
use crate::place::Options as Place;
use program::output;
use program::progress::Progress;

/// What to import.
#[derive(Clone, Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    language: Language,
}

#[derive(Clone, Debug, Subcommand)]
enum Language {
    /// Catalogs, component definitions and assessment plans of NIST OSCAL 1.1, in JSON
    Oscal(Oscal),
}

#[derive(Clone, Debug, Args)]
#[command(after_help = "\
What a file says and Headwater has no place for is named in the summary; with --json each one with its JSON path.\n\n\
A dot in an OSCAL id becomes an underscore (ac-2.1 is the control ac-2_1); the original is the label oscal-id. Two things that \
would have the same id are refused, as is all that OSCAL does not allow, with the JSON path of the fault; then nothing is written.\n\n\
OSCAL does not say what carries an activity out. An activity with the properties provider-name, provider-image and provider-tag \
becomes an attestation for each control that it is about; settings of the provider are properties provider-configuration whose \
class is the setting's name.\n\n  \
headwater import oscal catalog.json components.json plan.json --dry-run")]
struct Oscal {
    /// The files, in any order.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Say what would change, and change nothing. The door decides the first request as if it were sent.
    #[arg(long)]
    dry_run: bool,

    /// Why, for whoever reads the log.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    /// When assessments are due whose plan does not say it: cron, in UTC.
    #[arg(long, value_name = "CRON", default_value = "0 0 * * *")]
    schedule: String,

    /// Print JSON.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    place: Place,
}

/// What of the log's own words is of use here.
#[derive(Deserialize)]
struct Head {
    position: Position,
}

/// Does it.
///
/// # Errors
/// If a file or the door refuses, the door can't be reached, or the output can't be written.
pub async fn run(options: Options) -> Result<(), Error> {
    let Language::Oscal(oscal) = options.language;
    let json = oscal.json;
    let summary = oscal.run().await?;
    if json { output::json(&summary.to_json()) } else { output::text(&summary.to_text()) }?;
    Ok(())
}

impl Oscal {
    async fn run(self) -> Result<Summary, Error> {
        let draft = self.read()?;
        let door = Door::of(&self.place)?;
        // Asked first: what is sent below is named by it, so that an import that somebody has undone since can be done again.
        let head: Head = door.get("/v1/log").await?;
        let there = there(&door, draft.last_kind()).await?;
        let plan = Plan::of(draft, &known(&there));
        let compared = compare::compare(plan.items, &there)?;
        let changed = compared.iter().filter(|item| item.change != Change::Unchanged);
        let steps = requests::steps(changed, self.reason.as_deref(), head.position, Limits::DOOR);
        let mut summary = Summary::new(&compared, plan.skipped, self.dry_run, head.position);
        match (self.dry_run, steps.first()) {
            (true, Some(first)) => output::warn(&door.try_out(&first.request).await?),
            (true, None) => {}
            (false, _) => send(&door, &steps, &mut summary).await?,
        }
        Ok(summary)
    }

    fn read(&self) -> Result<Draft, Error> {
        let mut draft = Draft::new(self.schedule.as_str());
        for path in &self.files {
            let file = path.display().to_string();
            let bytes = bytes(path).map_err(|source| Error::Unreadable { file: file.clone(), source })?;
            document::read(&file, &bytes, &mut draft).map_err(|source| Error::Refused { file, source })?;
        }
        Ok(draft)
    }
}

fn bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    std::fs::read(path)
}

/// What the door has of the kinds up to this one: whatever is to be compared, and what it can refer to.
async fn there(door: &Door, last: Option<Kind>) -> Result<There, Error> {
    let mut there = There::new();
    for kind in Kind::ALL.into_iter().filter(|kind| last.is_some_and(|last| *kind <= last)) {
        let items: Vec<Value> = door.list(&format!("/v1/{}", kind.list()), &[]).await?;
        let by_id = items.into_iter().filter_map(|item| Some((item["id"].as_str()?.to_owned(), item)));
        there.insert(kind, by_id.collect::<BTreeMap<_, _>>());
    }
    Ok(there)
}

fn known(there: &There) -> Known {
    there.iter().flat_map(|(kind, items)| items.keys().map(|id| (*kind, id.clone()))).collect()
}

/// Sends one request after the other.
async fn send(door: &Door, steps: &[Step<'_>], summary: &mut Summary) -> Result<(), Error> {
    let total = steps.iter().map(|step| step.items.len() as u64).sum();
    let mut progress = Progress::begin("definitions sent", total);
    for (done, step) in steps.iter().enumerate() {
        let answer: Answer = match door.send(&step.request).await {
            Ok(answer) => answer,
            Err(error) if done == 0 => return Err(error.into()),
            Err(source) => return Err(Error::Halfway { done, total: steps.len(), source }),
        };
        output::warn(&answer.warnings);
        summary.note(&step.items, &answer);
        progress.advance(step.items.len() as u64);
    }
    Ok(())
}
