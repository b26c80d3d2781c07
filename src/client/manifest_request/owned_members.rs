//! The members that a bundle has now.

use std::collections::BTreeSet;

use api::path::BUNDLES;
use serde::Deserialize;

use crate::api_client::ApiClient;
use crate::error::Error;

/// A bundle of `GET /v1/bundles/{id}`, as far as it matters here.
#[derive(Debug, Deserialize)]
struct BundleMembers {
    members: BTreeSet<String>,
}

/// The members, each written `kind/id`; none if there is no such bundle.
pub(crate) async fn read(client: &ApiClient, bundle: &str) -> Result<BTreeSet<String>, Error> {
    let found: Option<BundleMembers> = client.get_optional(&format!("{BUNDLES}/{bundle}")).await?;
    Ok(found.map(|bundle| bundle.members).unwrap_or_default())
}
