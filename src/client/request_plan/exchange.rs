//! Decides a request without appending it, and sends one that was shown.

use std::collections::BTreeSet;

use api::contents::{AskedContents, DIGESTS_MAX, MissingContents};
use api::path::{COMMANDS, MISSING_CONTENTS};
use api::query::DRY_RUN;
use schema::answer::Answer;
use schema::digest::Digest;
use schema::position::Position;

use super::outcome::PlannedOutcome;
use crate::api_client::{ApiClient, CommandRequest};
use crate::error::Error;

/// What the request would do now. Nothing is appended.
pub(crate) async fn decide(client: &ApiClient, request: &CommandRequest) -> Result<PlannedOutcome, Error> {
    let path = format!("{COMMANDS}?{DRY_RUN}=true");
    let raw = client.post(&path, request.body()).await?;
    let unreadable = |source| Error::UnreadableAnswer { url: client.url().join(&path), source };
    PlannedOutcome::read(raw).map_err(unreadable)
}

/// Sends the request so that it does what `plan` says, or nothing. Sent again for the same plan and `position` it gets the first answer.
pub(crate) async fn send(
    client: &ApiClient,
    request: &CommandRequest,
    plan: &str,
    position: Position,
) -> Result<Answer, Error> {
    let key = Digest::of_parts([plan.as_bytes(), b" ", position.to_string().as_bytes()]);
    let request = CommandRequest { key: Some(format!("plan-{key}")), ..request.clone() };
    client.send_planned(&request, Some(plan)).await
}

/// Those of the contents that the log has already.
pub(crate) async fn known_contents(client: &ApiClient, digests: &BTreeSet<Digest>) -> Result<BTreeSet<Digest>, Error> {
    let (all, mut known) = (digests.iter().copied().collect::<Vec<_>>(), digests.clone());
    for some in all.chunks(DIGESTS_MAX) {
        let asked = serde_json::to_string(&AskedContents { digests: some.to_vec() });
        let asked = asked.expect("BUG: digests can be written as JSON");
        let MissingContents { missing } = client.post(MISSING_CONTENTS, asked).await?;
        let missing: BTreeSet<Digest> = missing.into_iter().collect();
        known.retain(|digest| !missing.contains(digest));
    }
    Ok(known)
}
