//! A document as its manifest must say it.
//!
//! What an open rollout makes of a document counts: an `apply` of what it was before would go against the rollout.

use api::query::STAGED;
use serde_json::Value;

use crate::api_client::{ApiClient, with_query};
use crate::error::Error;

/// A document with its content.
#[derive(Debug)]
pub(crate) struct DocumentRevision {
    /// The document as the server shows it.
    pub(crate) item: Value,
    pub(crate) content: Vec<u8>,
}

/// The document that a server shows as `item`, as the open rollout makes it that changes it, if one does. None if that removes it.
///
/// # Errors
/// If the server refuses or can't be reached.
pub(crate) async fn read(
    client: &ApiClient,
    id: &str,
    mut item: Value,
    query: &[(&str, &str)],
) -> Result<Option<DocumentRevision>, Error> {
    let (path, mut query) = (format!("/v1/documents/{id}"), query.to_vec());
    if !item["rollout"].is_null() {
        query.push((STAGED, "true"));
        let Some(staged) = client.get_optional(&with_query(&path, &query)).await? else { return Ok(None) };
        item = staged;
    }
    let content = client.get_content(&with_query(&format!("{path}/content"), &query)).await?;
    Ok(Some(DocumentRevision { item, content }))
}
