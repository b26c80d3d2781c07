//! `headwater diff`: how what manifests declare differs from what the log holds, line by line; and what differs between two states of the log,
//! or between two nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use clap::Args;
use program::exit::ExitClass;
use program::output;
use schema::terminal;
use serde_json::Value;
use similar::TextDiff;

use crate::api_client::ApiClient;
use crate::comparison::{self, ComparedStates, compare};
use crate::document_revision;
use crate::endpoint::Options as Endpoint;
use crate::error::Error as ClientError;
use crate::manifest::declared::{Declaration, DeclaredEntity};
use crate::manifest::kind::ManifestKind;
use crate::manifest::write::{declared_to_yaml, present_to_yaml};
use crate::manifest_request;
use crate::manifest_request::options::ManifestOptions;
use crate::manifest_request::shown_request::decide;
use crate::request_plan::outcome::RequestOutcome;

/// Lines that are shown around a difference.
const CONTEXT_LINES: usize = 3;

/// What to compare, and where.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
With -f each entity that `headwater apply` would change is shown as its manifest: - is what the log holds, + what is declared.\n\n\
Exit codes: 0 nothing differs; 1 something does; 2 usage, or a bad manifest; 3 could not reach the server; 4 refused.\n\n\
Examples:\n  \
headwater diff -f fleet/                        what applying it would change\n  \
headwater diff -f fleet/ --prune                with what would be removed\n  \
headwater diff node-1 node-2                    files of two nodes\n  \
headwater diff node-1 node-2 --at 120           as of position 120\n  \
headwater diff --from 120                       nodes that changed since\n  \
headwater diff --from 120 --to 140 node-1       files of one node")]
pub struct Options {
    #[command(flatten)]
    manifests: ManifestOptions,

    #[command(flatten)]
    states: ComparedStates,

    #[command(flatten)]
    endpoint: Endpoint,
}

/// Nothing was compared, or not everything was printed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Manifests were to be compared.
    #[error(transparent)]
    Manifests(#[from] manifest_request::error::Error),
    /// Two states or two nodes were to be compared.
    #[error(transparent)]
    States(#[from] comparison::Error),
}

impl Error {
    /// The class of the exit code. 1 is kept for a difference.
    #[must_use]
    pub fn exit_class(&self) -> ExitClass {
        match self {
            Self::Manifests(error) => error.comparison_exit_class(),
            Self::States(error) => error.exit_class(),
        }
    }
}

/// Whether something differs. Prints how.
///
/// # Errors
/// If a manifest or an option is at fault, the server refuses or can't be reached, or the output can't be written.
pub async fn run(options: Options) -> Result<bool, Error> {
    let Options { manifests, states, endpoint } = options;
    match manifests.files.is_empty() {
        true => Ok(compare(states, &endpoint).await?),
        false => Ok(compare_manifests(&manifests, &endpoint).await?),
    }
}

async fn compare_manifests(
    manifests: &ManifestOptions,
    endpoint: &Endpoint,
) -> Result<bool, manifest_request::error::Error> {
    let client = ApiClient::from_options(endpoint)?;
    let declared = manifests.read()?;
    let steps = manifests.steps(&declared, &client).await?;
    let total = steps.len();
    for (index, step) in steps.iter().enumerate() {
        let decided = decide(&client, step).await?;
        if decided.outcome.changes() {
            output::text(&differences(&client, &declared, &decided.outcome).await?)?;
            if index + 1 < total {
                let rest = total - index - 1;
                output::text(&format!("{rest} more of {total} requests follow, which are not compared yet.\n"))?;
            }
            return Ok(true);
        }
    }
    output::text(&manifests.membership_notes(&declared, &client).await?)?;
    Ok(false)
}

/// The differences of all entities that the request would change.
async fn differences(
    client: &ApiClient,
    declared: &Declaration,
    outcome: &RequestOutcome,
) -> Result<String, ClientError> {
    let by_entity: BTreeMap<String, &DeclaredEntity> =
        declared.entities.iter().map(|entity| (entity.entity(), entity)).collect();
    let mut text = String::new();
    for (entity, _) in outcome.entities() {
        let Some((kind, id)) = entity.split_once('/') else { continue };
        match kind.parse() {
            Ok(ManifestKind::Bundle) => text.push_str(&members(client, declared, id).await?),
            Ok(ManifestKind::Tree) | Err(()) => {
                let _ = writeln!(text, "{} changes", terminal::line(entity));
            }
            Ok(kind) => {
                let now = present(client, kind, id).await?;
                let wanted = by_entity.get(entity);
                let place = wanted.map_or_else(|| "not declared".to_owned(), |wanted| wanted.at.to_string());
                let wanted = wanted.map(|wanted| declared_to_yaml(wanted)).unwrap_or_default();
                append_difference(entity, &now, &place, &wanted, &mut text);
            }
        }
    }
    Ok(text)
}

fn append_difference(entity: &str, now: &str, place: &str, wanted: &str, text: &mut String) {
    let difference = TextDiff::from_lines(now, wanted);
    let (from, to) = (terminal::line(&format!("{entity} in the log")), terminal::line(&format!("{entity} ({place})")));
    let _ = write!(text, "{}", difference.unified_diff().context_radius(CONTEXT_LINES).header(&from, &to));
}

/// The manifest of what the log holds; empty if it holds nothing.
async fn present(client: &ApiClient, kind: ManifestKind, id: &str) -> Result<String, ClientError> {
    let path = format!("/v1/{}s/{id}", kind.name());
    let Some(item) = client.get_optional::<Value>(&path).await? else { return Ok(String::new()) };
    if kind != ManifestKind::Document {
        return Ok(present_to_yaml(kind, &item, None));
    }
    let revision = document_revision::read(client, id, item, &[]).await?;
    let manifest = revision.map(|revision| present_to_yaml(kind, &revision.item, Some(&revision.content)));
    Ok(manifest.unwrap_or_default())
}

/// Who joins a bundle, and who leaves it.
async fn members(client: &ApiClient, declared: &Declaration, id: &str) -> Result<String, ClientError> {
    let now = crate::manifest_request::owned_members::read(client, id).await?;
    let wanted = declared.bundles.iter().find(|bundle| bundle.id == id);
    let wanted = wanted.map_or_else(BTreeSet::new, |bundle| bundle.members.clone());
    let mut text = format!("bundle/{}\n", terminal::line(id));
    for (sign, member) in wanted.difference(&now).map(|member| ('+', member)) {
        let _ = writeln!(text, "{sign} {}", terminal::line(member));
    }
    Ok(text)
}
