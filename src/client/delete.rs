//! `headwater delete`: removes documents and definitions, and ends bundles; shown and asked about first.
//!
//! Absent on purpose: nodes. Retiring one can't be taken back, and has a command of its own.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use program::output;
use schema::id::Id;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::api_client::ApiClient;
use crate::confirm::ConfirmOption;
use crate::endpoint::Options as Endpoint;
use crate::manifest::kind::ManifestKind;
use crate::manifest::reader;
pub use crate::manifest_request::error::Error;
use crate::manifest_request::faults::print_faults;
use crate::manifest_request::request_step::RequestStep;
use crate::manifest_request::shown_request::{ShowPolicy, decide, show_and_send};
use crate::now_option::NowOption;

/// What to remove.
#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("source").args(["entities", "files"]).required(true))]
#[command(after_help = "\
What others refer to is removed after them, in one request: all of it or nothing. Removing a bundle ends it; its members stay, and belong \
to none. With -f all that the manifests declare is removed, and their bundle with it; nodes stay.\n\n\
Exit codes: 0 done; 1 refused, declined, or not found; 2 usage, or a bad manifest; 3 could not reach the server.\n\n\
Examples:\n  \
headwater delete document/motd control/ac-1\n  \
headwater delete -f fleet/loki/ --yes")]
pub struct Options {
    /// What to remove: document, control, component, assessment, attestation or bundle, a slash, and the id.
    #[arg(value_name = "KIND/ID", value_parser = entity)]
    entities: Vec<NamedEntity>,

    /// Remove what these manifests declare.
    #[arg(short = 'f', long = "file", value_name = "PATH", conflicts_with = "entities")]
    files: Vec<PathBuf>,

    /// Leave out what is not there.
    #[arg(long)]
    ignore_not_found: bool,

    /// The reason, which each event carries.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    #[command(flatten)]
    now: NowOption,

    #[command(flatten)]
    confirm: ConfirmOption,

    /// Print the answer as JSON, and nothing else.
    #[arg(long, requires = "yes")]
    json: bool,

    #[command(flatten)]
    endpoint: Endpoint,
}

/// Something that can be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NamedEntity {
    kind: ManifestKind,
    id: String,
}

fn entity(text: &str) -> Result<NamedEntity, String> {
    let (kind, id) = text.split_once('/').ok_or("it is written kind/id, such as document/motd")?;
    let id: Id = id.parse().map_err(|_| format!("`{id}` is not an id"))?;
    match kind.parse() {
        Ok(ManifestKind::Node) => Err("a node is retired, not removed: see `headwater retire`".to_owned()),
        Ok(ManifestKind::Tree) => Err("a tree is in the log as its documents: remove those".to_owned()),
        Ok(kind) => Ok(NamedEntity { kind, id: id.to_string() }),
        Err(()) => Err(format!(
            "`{kind}` can't be removed; document, control, component, assessment, attestation and bundle can"
        )),
    }
}

/// Removes it.
///
/// # Errors
/// If a manifest is at fault, nobody said yes, or the server refuses or can't be reached.
pub async fn run(options: Options) -> Result<(), Error> {
    let client = ApiClient::from_options(&options.endpoint)?;
    let mut entities = match options.files.as_slice() {
        [] => options.entities.clone(),
        files => declared(files)?,
    };
    if options.ignore_not_found {
        entities = present(&client, entities).await?;
    }
    if entities.is_empty() {
        if !options.json {
            output::text("there is nothing to remove\n")?;
        }
        return Ok(());
    }
    let step = RequestStep::of(commands(entities), options.reason).saying(options.now);
    let policy = ShowPolicy { confirm: options.confirm, question: "Remove it", prune_max: None, json: options.json };
    let decided = decide(&client, &step).await?;
    show_and_send(&client, &step, &decided, policy).await?;
    Ok(())
}

/// What manifests declare, without nodes.
fn declared(files: &[PathBuf]) -> Result<Vec<NamedEntity>, Error> {
    let declared = reader::read(files, None).map_err(|faults| print_faults(&faults))?;
    let bundles = declared.bundles.into_iter().map(|bundle| NamedEntity { kind: ManifestKind::Bundle, id: bundle.id });
    let entities = declared.entities.into_iter().filter(|entity| entity.kind != ManifestKind::Node);
    Ok(entities.map(|entity| NamedEntity { kind: entity.kind, id: entity.id }).chain(bundles).collect())
}

/// Those that the log holds.
async fn present(client: &ApiClient, entities: Vec<NamedEntity>) -> Result<Vec<NamedEntity>, Error> {
    let mut present = Vec::with_capacity(entities.len());
    for entity in entities {
        let path = format!("/v1/{}s/{}", entity.kind.name(), entity.id);
        if client.get_optional::<IgnoredAny>(&path).await?.is_some() {
            present.push(entity);
        }
    }
    Ok(present)
}

/// The commands, each entity once: what refers to something goes before it, and bundles last.
fn commands(mut entities: Vec<NamedEntity>) -> Vec<Value> {
    entities.sort_by(|one, other| (other.kind, &one.id).cmp(&(one.kind, &other.id)));
    entities.dedup();
    let command = |entity: &NamedEntity| json!({"type": format!("remove_{}", entity.kind.name()), "id": entity.id});
    entities.iter().map(command).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_refers_to_something_is_removed_before_it() {
        let named =
            ["bundle/b", "control/c", "document/d", "attestation/a", "component/k", "control/c", "assessment/s"];
        let entities = named.into_iter().map(|text| entity(text).expect(text)).collect();
        let types: Vec<String> =
            commands(entities).iter().map(|command| command["type"].as_str().unwrap_or_default().to_owned()).collect();
        let expected = ["document", "attestation", "assessment", "component", "control", "bundle"]
            .map(|kind| format!("remove_{kind}"));
        assert_eq!(types, expected);
    }

    #[test]
    fn what_can_not_be_removed_is_refused_with_what_does_it() {
        for (text, said) in [
            ("motd", "kind/id"),
            ("document/a b", "not an id"),
            ("node/n", "headwater retire"),
            ("tree/t", "its documents"),
            ("principal/p", "can't be removed"),
        ] {
            let refused = entity(text).expect_err(text);
            assert!(refused.contains(said), "{refused}");
        }
    }
}
