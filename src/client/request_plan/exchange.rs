//! Decides a request without appending it, and sends one that was shown.

use std::collections::BTreeSet;

use api::path::COMMANDS;
use api::query::DRY_RUN;
use schema::answer::Answer;
use schema::digest::Digest;
use serde::Deserialize;
use serde_json::json;

use super::outcome::PlannedOutcome;
use crate::api_client::{ApiClient, CommandRequest};
use crate::error::Error;

/// Which contents the log lacks.
const MISSING_CONTENTS: &str = "/v1/contents/missing";
/// Digests in one question.
const DIGESTS_MAX: usize = 10_000;
/// The code of the refusal of a request that would do something else than was shown.
pub(crate) const PLAN_CHANGED: &str = "plan_changed";

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
    position: u64,
) -> Result<Answer, Error> {
    let key = Digest::of_parts([plan.as_bytes(), b" ", position.to_string().as_bytes()]);
    let request = CommandRequest { key: Some(format!("plan-{key}")), ..request.clone() };
    client.send_planned(&request, Some(plan)).await
}

/// Those of the contents that the log has already.
pub(crate) async fn known_contents(client: &ApiClient, digests: &BTreeSet<Digest>) -> Result<BTreeSet<Digest>, Error> {
    #[derive(Deserialize)]
    struct MissingContents {
        missing: BTreeSet<Digest>,
    }
    let (all, mut known) = (digests.iter().copied().collect::<Vec<_>>(), digests.clone());
    for some in all.chunks(DIGESTS_MAX) {
        let asked = json!({"digests": some}).to_string();
        let MissingContents { missing } = client.post(MISSING_CONTENTS, asked).await?;
        known.retain(|digest| !missing.contains(digest));
    }
    Ok(known)
}
