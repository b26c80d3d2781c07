//! Items of a list as manifests, with the contents of documents.

use program::output;
use schema::terminal;
use serde_json::Value;

use super::query_options::QueryOptions;
use super::resource_kind::ResourceKind;
use super::table::format_value;
use crate::api_client::ApiClient;
use crate::document_revision;
use crate::exchange::Error;
use crate::manifest::kind::ManifestKind;
use crate::manifest::write::{join, to_yaml};

/// Prints items of a kind that manifests can declare.
///
/// # Errors
/// If manifests can't declare the kind, the server refuses or can't be reached, or the output can't be written.
pub(super) async fn print(kind: ResourceKind, items: &[Value], options: &QueryOptions) -> Result<(), Error> {
    let Ok(manifest_kind) = kind.singular().parse::<ManifestKind>() else {
        return Err(Error::Usage(format!("{} are in no manifest: -o json does as well", kind.name())));
    };
    let client = options.client()?;
    let mut manifests = Vec::with_capacity(items.len());
    for item in items {
        // A manifest of a node enrols it, and what is retired is not enrolled so.
        if item["retired"] == true {
            manifests.push(format!("# node {} is retired, and left out\n", terminal::line(&format_value(&item["id"]))));
            continue;
        }
        manifests.push(match (manifest_kind, item["id"].as_str()) {
            (ManifestKind::Document, Some(id)) => document(&client, id, item, options).await?,
            _ => to_yaml(manifest_kind, item, None),
        });
    }
    output::text(&join(&manifests))?;
    Ok(())
}

async fn document(client: &ApiClient, id: &str, item: &Value, options: &QueryOptions) -> Result<String, Error> {
    let revision = document_revision::read(client, id, item.clone(), &options.query()).await?;
    let rollout = item["rollout"].as_str().map(terminal::line);
    Ok(match (rollout, revision) {
        (Some(rollout), None) => format!("# document {} is removed by rollout {rollout}\n", terminal::line(id)),
        (Some(rollout), Some(revision)) => {
            let comment = format!("# as rollout {rollout} makes it, which is still open\n");
            comment + &to_yaml(ManifestKind::Document, &revision.item, Some(&revision.content))
        }
        (None, revision) => revision.map_or_else(String::new, |revision| {
            to_yaml(ManifestKind::Document, &revision.item, Some(&revision.content))
        }),
    })
}
