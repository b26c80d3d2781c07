//! `headwater review`, `accept` and `reject`: an administrator decides about what nodes propose.
//!
//! Always: several proposals are accepted or rejected together or not at all.

use std::fmt::Write as _;

use api::path::PROPOSALS;
use api::query::STATE;
use clap::{Args, Subcommand};
use program::output;
use program::token::{self, RandomnessError};
use schema::answer::Answer;
use schema::digest::Digest;
use schema::entity::Kind;
use schema::id::ProposalId;
use schema::terminal;
use serde::Serialize;
use serde_json::{Value, json};

use crate::api_client::{ApiClient, CommandRequest};
use crate::endpoint::Options as Endpoint;
use crate::exchange;
use crate::get::table::{format_table, format_value};
use crate::get::{self, QueryOptions, ResourceKind, terminal_width};

/// What an administrator does about proposals.
#[derive(Clone, Debug, Subcommand)]
pub enum ProposalCommand {
    /// Show a file that a node proposes for itself and what it would change, or list those that wait for a decision
    Review(ReviewOptions),
    /// Accept what nodes propose: each becomes a document for its node
    Accept(AcceptOptions),
    /// Reject what nodes propose, with a reason
    Reject(RejectOptions),
}

/// Which proposal to look at.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
  headwater review                        the proposals that wait for a decision\n  \
  headwater review 7ec4cde6-…             one of them, and what it would change\n  \
  headwater get proposals                 all of them, decided or not")]
pub struct ReviewOptions {
    /// The proposal; without one, those that wait for a decision are listed.
    #[arg(value_name = "ID")]
    id: Option<ProposalId>,

    #[command(flatten)]
    query: QueryOptions,
}

/// Which proposals to accept.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Each becomes a document for the node that proposed it, and for no other: no document that nodes share is changed. Look at it
first:

  headwater review 7ec4cde6-…
  headwater accept 7ec4cde6-… --reason \"measured twice\"")]
pub struct AcceptOptions {
    /// The proposals.
    #[arg(value_name = "ID", required = true)]
    ids: Vec<ProposalId>,

    /// The priority of the documents: of those at a path, the highest is in force. 1000 unless given.
    #[arg(long, allow_negative_numbers = true)]
    priority: Option<i32>,

    /// Accept although another file is desired at the path now than the node had when it proposed.
    #[arg(long)]
    anyway: bool,

    /// Why, for the log.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    #[command(flatten)]
    common: Common,
}

/// Which proposals to reject.
#[derive(Clone, Debug, Args)]
pub struct RejectOptions {
    /// The proposals.
    #[arg(value_name = "ID", required = true)]
    ids: Vec<ProposalId>,

    /// Why: the node's operator reads it.
    #[arg(long, value_name = "TEXT")]
    reason: String,

    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Debug, Args)]
struct Common {
    /// Print JSON.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    endpoint: Endpoint,
}

/// Why nothing was decided, or it is not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused or could not be reached, or the output can't be written.
    #[error(transparent)]
    Exchange(exchange::Error),
    /// The system gives no random bytes.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
}

program::command_error!(Error, Exchange(exchange::Error));

/// Does what the command says.
///
/// # Errors
/// If the server refuses or can't be reached, or the output can't be written.
pub async fn run(command: ProposalCommand) -> Result<(), Error> {
    match command {
        ProposalCommand::Review(options) => Ok(review(options).await?),
        ProposalCommand::Accept(options) => accept(options).await,
        ProposalCommand::Reject(options) => reject(options).await,
    }
}

/// Shows one proposal, or those that wait for a decision.
async fn review(options: ReviewOptions) -> Result<(), get::Error> {
    let ReviewOptions { id, query } = options;
    match id {
        Some(id) => query.print(&format!("{PROPOSALS}/{id}"), outline).await,
        None => get::print_list(ResourceKind::Proposals, PROPOSALS, &query, &[(STATE, "open")]).await,
    }
}

async fn accept(options: AcceptOptions) -> Result<(), Error> {
    let AcceptOptions { ids, priority, anyway, reason, common } = options;
    let command = |id| json!({"type": "accept_proposal", "id": id, "priority": priority, "anyway": anyway});
    let answer = common.decide(ids.iter().map(command).collect(), reason).await?;
    common.print(&answer, |answer| {
        let made = answer.events.iter().filter(|event| event.entity.kind == Kind::Document);
        let mut text: String = made.map(|event| format!("accepted as {}\n", event.entity)).collect();
        writeln!(text, "headwater impact {} shows which nodes that changes", answer.position)
            .expect("BUG: a String takes any text");
        text
    })
}

async fn reject(options: RejectOptions) -> Result<(), Error> {
    let RejectOptions { ids, reason, common } = options;
    let command = |id| json!({"type": "reject_proposal", "id": id, "reason": reason});
    let answer = common.decide(ids.iter().map(command).collect(), None).await?;
    common.print(&answer, |answer| format!("rejected at position {}; the node is told why\n", answer.position))
}

impl Common {
    async fn decide(&self, commands: Vec<Value>, reason: Option<String>) -> Result<Answer, Error> {
        // A lost answer is asked for again: deciding twice would be refused.
        let key = Some(format!("decide-{}", Digest::of(token::generate()?.as_bytes()).short()));
        let client = ApiClient::from_options(&self.endpoint)?;
        let answer = client.send_commands(&CommandRequest { reason, now: false, commands, key }).await?;
        output::warn(&answer.warnings);
        Ok(answer)
    }

    fn print(&self, answer: &Answer, text: impl FnOnce(&Answer) -> String) -> Result<(), Error> {
        match self.json {
            true => output::json(&to_json(answer)),
            false => output::text(&text(answer)),
        }?;
        Ok(())
    }
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("BUG: texts and numbers can be written as JSON")
}

/// A proposal with what it changes, as a person reads it before deciding.
fn outline(proposal: &Value) -> String {
    let member = |name: &str| format_value(&proposal[name]);
    let mut text = format_table(ResourceKind::Proposals.columns(), std::slice::from_ref(proposal), terminal_width());
    text.push('\n');
    let short = |digest: &Value| match digest.as_str() {
        Some(digest) => digest.chars().take(12).collect(),
        None => "no file".to_owned(),
    };
    if proposal["stale"] == true {
        let (base, now, after) = (&proposal["base"]["digest"], &proposal["now"], &proposal["after"]["digest"]);
        text.push_str(&format!(
            "STALE: the node had {}, now there is {}, it proposes {}. `headwater accept --anyway` accepts it all the same.\n\n",
            short(base),
            short(now),
            short(after)
        ));
    }
    if proposal["mode"] == "755" && proposal["state"] == "open" {
        text.push_str("The file that is there can be run, and so can the proposed one if it is accepted.\n\n");
    }
    let decision = &proposal["decision"];
    if !decision.is_null() {
        let why = decision["reason"].as_str().map_or_else(String::new, |why| format!(": {}", terminal::line(why)));
        let (by, position) = (format_value(&decision["by"]), format_value(&decision["position"]));
        text.push_str(&format!("{} by {by} at position {position}{why}\n\n", member("state")));
    }
    text.push_str(&match proposal["unified"].as_str() {
        Some("") => "It proposes what is there.\n".to_owned(),
        Some(unified) => unified.to_owned(),
        None => "There is no difference to show: one of the files is not known, too large, or no text.\n".to_owned(),
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proposal(changes: Value) -> Value {
        let mut proposal = json!({"id": "p", "node": "n-1", "path": "a", "state": "open", "stale": false, "position": 4,
            "reason": "lamp", "base": {"position": 3, "digest": "aa"}, "now": "aa", "decision": null,
            "after": {"digest": "cc"}, "unified": "-1\n+2\n"});
        for (name, value) in changes.as_object().expect("an object") {
            proposal[name] = value.clone();
        }
        proposal
    }

    #[test]
    fn what_a_person_must_know_before_deciding_is_told() {
        let open = outline(&proposal(json!({})));
        assert!(open.starts_with("ID") && open.ends_with("\n-1\n+2\n") && !open.contains("STALE:"), "{open}");
        let stale = outline(&proposal(json!({"stale": true, "now": null})));
        assert!(stale.contains("the node had aa, now there is no file, it proposes cc."), "{stale}");
        let decision = json!({"by": "ann", "position": 9, "reason": "no\u{1b}[2J"});
        let ended = outline(&proposal(json!({"state": "rejected", "decision": decision, "unified": null})));
        assert!(ended.contains("rejected by ann at position 9: no\u{fffd}[2J"), "{ended}");
        assert!(ended.contains("There is no difference to show"), "{ended}");
    }
}
