//! Stops a request that removes much of a bundle: a checkout that was cut off looks like a wish to remove all the rest.

use std::collections::BTreeSet;

use serde_json::Value;

use super::error::Error;
use super::owned_members;
use crate::api_client::{ApiClient, CommandRequest};

/// Whether the request may remove `prunes`: at most `max` members of each bundle, or half of it unless there is a number.
///
/// # Errors
/// If it may not, or the server does not say what its bundles have.
pub(super) async fn check(
    client: &ApiClient,
    request: &CommandRequest,
    prunes: &[String],
    max: Option<usize>,
) -> Result<(), Error> {
    let prunes: BTreeSet<&str> = prunes.iter().map(String::as_str).collect();
    if prunes.is_empty() {
        return Ok(());
    }
    let assigns = |command: &&Value| command["type"] == "assign_bundle" && command["grow"] != true;
    for command in request.commands.iter().filter(assigns) {
        let Some(bundle) = command["id"].as_str() else { continue };
        let members = owned_members::read(client, bundle).await?;
        let pruned = members.iter().filter(|member| prunes.contains(member.as_str())).count();
        let limit = max.unwrap_or(members.len() / 2);
        if pruned > limit {
            return Err(Error::PruneLimit { bundle: bundle.to_owned(), pruned, members: members.len(), limit });
        }
    }
    Ok(())
}
