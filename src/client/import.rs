//! `headwater import`: makes the definitions that files of another format contain, with ordinary commands.
//!
//! It reads all files, gets the definitions that the server has, and sends those that differ, in requests of which each refers
//! only to what the ones before it made. Always: nothing is sent before every file was read; a definition that the server has
//! already is not sent again, so a second run appends nothing; one that was changed since it was compared is refused by its
//! version. Absent on purpose: removing definitions that the files do not contain.

mod batches;
mod compare;
mod error;
mod summary;

use std::collections::BTreeMap;
use std::path::PathBuf;

use api::log::LogStatus;
use api::path::LOG;
use clap::{Args, Subcommand};
use schema::answer::Answer;
use serde_json::Value;

use self::batches::{DefinitionBatch, RequestLimits};
use self::compare::{DefinitionChange, ExistingDefinitions};
pub use self::error::Error;
use self::summary::ImportSummary;
use crate::api_client::ApiClient;
use crate::endpoint::Options as Endpoint;
use crate::oscal::definition::DefinitionKind;
use crate::oscal::document;
use crate::oscal::draft::ImportDraft;
use crate::oscal::plan::{ImportPlan, KnownIds};
use program::output;
use program::progress::Progress;

/// What to import, and how.
#[derive(Clone, Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    format: ImportFormat,
}

#[derive(Clone, Debug, Subcommand)]
enum ImportFormat {
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

    /// Print what would change, and change nothing. The server decides the first request as if it were sent.
    #[arg(long)]
    dry_run: bool,

    /// The reason, which each event carries.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    /// The schedule of assessments whose plan has none: cron, in UTC.
    #[arg(long, value_name = "CRON", default_value = "0 0 * * *")]
    schedule: String,

    /// Print JSON.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    endpoint: Endpoint,
}

/// Imports the files, and prints the summary.
///
/// # Errors
/// If a file is not valid, the server refuses or can't be reached, or the output can't be written.
pub async fn run(options: Options) -> Result<(), Error> {
    let ImportFormat::Oscal(oscal) = options.format;
    let json = oscal.json;
    let summary = oscal.run().await?;
    if json { output::json(&summary.to_json()) } else { output::text(&summary.to_text()) }?;
    Ok(())
}

impl Oscal {
    async fn run(self) -> Result<ImportSummary, Error> {
        let draft = self.read()?;
        let client = ApiClient::from_options(&self.endpoint)?;
        // Read first: the keys below are derived from this position, so that an import that was undone can be repeated.
        let log: LogStatus = client.get(LOG).await?;
        let existing = existing(&client, draft.last_kind()).await?;
        let plan = ImportPlan::of(draft, &known_ids(&existing));
        let compared = compare::compare(plan.definitions, &existing)?;
        let changed = compared.iter().filter(|item| item.change != DefinitionChange::Unchanged);
        let batches = batches::batches(changed, self.reason.as_deref(), log.position, RequestLimits::SERVER);
        let mut summary = ImportSummary::new(&compared, plan.skipped, self.dry_run, log.position);
        match (self.dry_run, batches.first()) {
            (true, Some(first)) => output::warn(&client.dry_run(&first.request).await?),
            (true, None) => {}
            (false, _) => send(&client, &batches, &mut summary).await?,
        }
        Ok(summary)
    }

    fn read(&self) -> Result<ImportDraft, Error> {
        let mut draft = ImportDraft::new(self.schedule.as_str());
        for path in &self.files {
            let file = path.display().to_string();
            let bytes = std::fs::read(path).map_err(|source| Error::Unreadable { file: file.clone(), source })?;
            document::read(&file, &bytes, &mut draft).map_err(|source| Error::Refused { file, source })?;
        }
        Ok(draft)
    }
}

/// The definitions on the server of the kinds up to `last`: those to compare with, and those that they may refer to.
async fn existing(client: &ApiClient, last: Option<DefinitionKind>) -> Result<ExistingDefinitions, Error> {
    let mut existing = ExistingDefinitions::new();
    for kind in DefinitionKind::ALL.into_iter().filter(|kind| last.is_some_and(|last| *kind <= last)) {
        let items: Vec<Value> = client.list(&format!("/v1/{}", kind.list()), &[]).await?;
        let by_id = items.into_iter().filter_map(|item| Some((item["id"].as_str()?.to_owned(), item)));
        existing.insert(kind, by_id.collect::<BTreeMap<_, _>>());
    }
    Ok(existing)
}

fn known_ids(existing: &ExistingDefinitions) -> KnownIds {
    existing.iter().flat_map(|(kind, items)| items.keys().map(|id| (*kind, id.clone()))).collect()
}

/// Sends one request after the other, and shows the progress.
async fn send(client: &ApiClient, batches: &[DefinitionBatch<'_>], summary: &mut ImportSummary) -> Result<(), Error> {
    let total = batches.iter().map(|batch| batch.items.len() as u64).sum();
    let mut progress = Progress::begin("definitions sent", total);
    for (done, batch) in batches.iter().enumerate() {
        let answer: Answer = match client.send_commands(&batch.request).await {
            Ok(answer) => answer,
            Err(error) if done == 0 => return Err(error.into()),
            Err(source) => return Err(Error::Halfway { done, total: batches.len(), source }),
        };
        output::warn(&answer.warnings);
        summary.add(&batch.items, &answer);
        progress.advance(batch.items.len() as u64);
    }
    Ok(())
}
