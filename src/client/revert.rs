//! `headwater undo` and `headwater revert`: take back what a request did, or all that happened since a moment.
//!
//! Always: the server says which request takes it back; what is sent does what was shown, or nothing.

use std::collections::BTreeSet;

use api::path::REVERTS;
use api::revert::{LeftEntity, MomentText, RevertQuestion};
use clap::Args;
use program::output;
use schema::entity::Entity;
use schema::id::CommandId;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::api_client::ApiClient;
use crate::confirm::ConfirmOption;
use crate::endpoint::Options as Endpoint;
use crate::error::Error as ClientError;
pub use crate::manifest_request::error::Error;
use crate::manifest_request::request_step::RequestStep;
use crate::manifest_request::shown_request::{ShowPolicy, print_warnings, show_and_send};
use crate::now_option::NowOption;
use crate::request_plan::outcome::PlannedOutcome;

/// Nodes that are named of those that stay as they are; more are only counted.
const NAMED_MAX: usize = 10;

/// Which request to undo.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Documents, definitions, labels and bundles become what they were before the request; what else others changed stays. If somebody changed the \
same things since, it is refused (changed_since). It shows what would change on which nodes, asks, and sends exactly that. `headwater history` and `headwater events` show \
the ids of requests.\n\n\
Exit codes: 0 done, or nothing to do; 1 refused or declined; 2 usage; 3 could not reach the server.\n\n\
Examples:\n  \
headwater undo 0198f7a2-7c7b-7def-8000-000000000001\n  \
headwater undo 0198f7a2-7c7b-7def-8000-000000000001 --only document/motd")]
pub struct UndoRequest {
    /// The id of the request, as its answer and its events have it.
    #[arg(value_name = "COMMAND_ID")]
    command_id: CommandId,

    /// Take back also what others changed since.
    #[arg(long)]
    anyway: bool,

    #[command(flatten)]
    common: Common,
}

/// Which moment to go back to.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Documents, definitions, labels and bundles become what they were. Principals and tokens, claims, reports, proposals and marks stay, and so \
does which nodes take part. It shows what would change on which nodes, asks, and sends exactly that.\n\n\
Exit codes: 0 done, or nothing to do; 1 refused or declined; 2 usage; 3 could not reach the server.\n\n\
Examples:\n  \
headwater revert --to 812\n  \
headwater revert --to mark:run-1234 --only bundle/loki\n  \
headwater revert --to 2026-11-27T08:00:00Z --only node/node-1 --yes")]
pub struct RevertTo {
    /// The moment: a position, an RFC 3339 time, or mark:NAME.
    #[arg(long, value_name = "POSITION|TIME|MARK")]
    to: String,

    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Debug, Args)]
struct Common {
    /// Take back only what concerns this document, node, definition, or bundle with all that belongs to it; can be given several times.
    #[arg(long, value_name = "KIND/ID")]
    only: Vec<Entity>,

    /// The reason, which each event carries [default: what is taken back].
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    #[command(flatten)]
    now: NowOption,

    #[command(flatten)]
    confirm: ConfirmOption,

    /// Print the server's answer to what is sent as JSON, and nothing else.
    #[arg(long, requires = "yes")]
    json: bool,

    #[command(flatten)]
    endpoint: Endpoint,
}

/// The server's answer, as far as it matters here.
#[derive(Debug, Deserialize)]
struct TakenBack {
    request: Option<TakingBackRequest>,
    preview: Option<Box<RawValue>>,
    #[serde(default)]
    left: Vec<LeftEntity>,
    #[serde(default)]
    more: usize,
}

/// A request as the server wrote it.
#[derive(Debug, Deserialize)]
struct TakingBackRequest {
    reason: Option<String>,
    commands: Vec<Value>,
}

/// Takes back what one request did.
///
/// # Errors
/// If nobody said yes, the server refuses or can't be reached, or something else would come of it now.
pub async fn undo(options: UndoRequest) -> Result<(), Error> {
    let UndoRequest { command_id, anyway, common } = options;
    let question = RevertQuestion { command_id: Some(command_id), anyway, ..common.question() };
    common.take_back(&question, "Undo it").await
}

/// Takes back what happened since a moment.
///
/// # Errors
/// As [`undo`].
pub async fn revert(options: RevertTo) -> Result<(), Error> {
    let RevertTo { to, common } = options;
    let question = RevertQuestion { to: Some(MomentText(to)), ..common.question() };
    common.take_back(&question, "Revert it").await
}

impl Common {
    fn question(&self) -> RevertQuestion {
        let only: BTreeSet<Entity> = self.only.iter().cloned().collect();
        RevertQuestion { only, reason: self.reason.clone(), ..RevertQuestion::default() }
    }

    async fn take_back(&self, question: &RevertQuestion, ask: &str) -> Result<(), Error> {
        let client = ApiClient::from_options(&self.endpoint)?;
        let body = serde_json::to_string(question).expect("BUG: texts can be written as JSON");
        let TakenBack { request, preview, left, more } = client.post(REVERTS, body).await?;
        if !self.json {
            output::text(&left_text(&left, more))?;
        }
        let (Some(request), Some(preview)) = (request, preview) else {
            if !self.json {
                output::text("there is nothing to take back\n")?;
            }
            return Ok(());
        };
        let unreadable = |source| ClientError::UnreadableAnswer { url: client.url().join(REVERTS), source };
        let decided = PlannedOutcome::read(preview).map_err(unreadable)?;
        let step = RequestStep::of(request.commands, request.reason).saying(self.now);
        print_warnings(&step, &decided);
        let policy = ShowPolicy { confirm: self.confirm, question: ask, prune_max: None, json: self.json };
        show_and_send(&client, &step, &decided, policy).await?;
        Ok(())
    }
}

/// What stays as it is.
fn left_text(left: &[LeftEntity], more: usize) -> String {
    let kinds = [
        ("enrolled", "enrolled since, and stays so"),
        ("retired", "retired since, and stays so"),
        ("proposed", "made of a proposal, and not brought back"),
        ("rolled_out", "changed by a rollout that is open, and goes on until `headwater rollout abort`"),
    ];
    let line = |(why, words): (&str, &str)| {
        let entities: Vec<String> =
            left.iter().filter(|entity| entity.why == why).map(|left| left.entity.to_string()).collect();
        match entities.len() {
            0 => String::new(),
            count => {
                let named = entities[..count.min(NAMED_MAX)].join(", ");
                let more = count.saturating_sub(NAMED_MAX);
                format!("{words}: {named}{}\n", if more == 0 { String::new() } else { format!(" and {more} more") })
            }
        }
    };
    let rest = if more == 0 { String::new() } else { format!("and {more} more entities stay as they are\n") };
    kinds.into_iter().map(line).collect::<String>() + &rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_is_named_and_much_is_counted() {
        let left =
            |entity: &str, why: &str| LeftEntity { entity: entity.parse().expect("an entity"), why: why.to_owned() };
        assert_eq!(left_text(&[], 0), "");
        let all: Vec<LeftEntity> = (0..12).map(|number| left(&format!("node/n{number}"), "enrolled")).collect();
        let all = [all, vec![left("node/old", "retired"), left("document/p", "proposed")]].concat();
        assert_eq!(
            left_text(&all, 3),
            "enrolled since, and stays so: node/n0, node/n1, node/n2, node/n3, node/n4, node/n5, node/n6, node/n7, node/n8, node/n9 and 2 more\n\
             retired since, and stays so: node/old\nmade of a proposal, and not brought back: document/p\nand 3 more entities stay as they are\n"
        );
    }
}
