//! `headwater get file`: a file exactly as a node gets it.

use std::io::IsTerminal as _;

use program::output;
use schema::id::Id;

use super::query_options::QueryOptions;
use crate::api_client::with_query;
use crate::exchange::Error;
use crate::url_path;

/// Prints the bytes of the file; on a terminal its text, without control characters.
///
/// # Errors
/// If the server refuses or can't be reached, the output can't be written, or a terminal would have to show what is no text.
pub(super) async fn print(node: &Id, path: &str, query: &QueryOptions) -> Result<(), Error> {
    let path = format!("/v1/nodes/{node}/files/{}", url_path::segments(path));
    let bytes = query.client()?.get_bytes(&with_query(&path, &query.query())).await?;
    if !std::io::stdout().is_terminal() {
        output::bytes(&bytes)?;
        return Ok(());
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) if text.ends_with('\n') || text.is_empty() => output::text(text)?,
        Ok(text) => output::text(&format!("{text}\n"))?,
        Err(_) => return Err(Error::Usage("the file is no text: send it into a file or a pipe".to_owned())),
    };
    Ok(())
}
