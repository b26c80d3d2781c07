//! `headwater retry`, `headwater retire` and `headwater label`: commands about nodes in words.
//!
//! Always: one request, accepted as a whole or refused as a whole; what changes files of nodes is shown and asked about first.

mod error;
mod label_words;

use clap::{Args, Subcommand};
use program::output;
use program::token;
use schema::answer::Answer;
use schema::digest::Digest;
use schema::id::NodeId;
use schema::target::Selector;
use serde_json::{Value, json};

use self::label_words::LabelWords;
use crate::api_client::{ApiClient, CommandRequest};
use crate::confirm::ConfirmOption;
use crate::endpoint::Options as Endpoint;
use crate::entity_name::parse_node;
use crate::manifest_request::error::Error as ShownRequestError;
use crate::manifest_request::request_step::RequestStep;
use crate::manifest_request::shown_request::{ShowPolicy, decide, show_and_send};
use crate::now_option::NowOption;

pub use self::error::Error;

/// Nodes that a question or an answer names; more are only counted.
const NAMED_MAX: usize = 10;

/// Commands about nodes.
#[derive(Debug, Subcommand)]
pub enum FleetCommand {
    /// Let nodes try again what their check or hook rejected
    Retry(RetryNodes),
    /// Retire nodes: they keep no files and get no jobs until they are enrolled again. Asks first
    Retire(RetireNodes),
    /// Set labels of nodes, or take labels from them; their other labels stay
    Label(LabelEntities),
}

/// Lets nodes try again.
#[derive(Clone, Debug, Args)]
pub struct RetryNodes {
    /// The nodes, as ID or node/ID.
    #[arg(required = true, value_name = "NODE", value_parser = parse_node::<NodeId>)]
    nodes: Vec<NodeId>,

    #[command(flatten)]
    common: SendOptions,
}

/// Retires nodes.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
A retired node removes its files, loses its jobs, and is not waited for any more. What goes is shown first. The command `enrol_node`, sent to \
POST /v1/commands, brings a node back.

Without a terminal it needs --yes, and ends with 2 if that is missing. It ends with 1 if the answer is no.")]
pub struct RetireNodes {
    /// The nodes, as ID or node/ID.
    #[arg(required = true, value_name = "NODE", value_parser = parse_node::<NodeId>)]
    nodes: Vec<NodeId>,

    #[command(flatten)]
    confirm: ConfirmOption,

    #[command(flatten)]
    common: SendOptions,
}

/// What gets labels.
#[derive(Clone, Debug, Args)]
pub struct LabelEntities {
    #[command(subcommand)]
    subject: LabelSubject,
}

#[derive(Clone, Debug, Subcommand)]
enum LabelSubject {
    /// Nodes: those that are named, those with such labels, or all. Retired ones never
    #[command(visible_alias = "node", after_help = LABEL_AFTER_HELP)]
    Nodes(LabelNodes),
}

const LABEL_AFTER_HELP: &str = "\
The server selects the nodes when it decides the request. A node that has the labels already is left alone. Labels decide which documents \
a node gets: what changes on which nodes is shown, and if anything does, it asks. Manifests that declare a node set its labels again when they are applied.

Examples:
  headwater label nodes node-1 ring=1 spare-      set one label, take one away
  headwater label nodes -l 'site=lund,!spare' ring=1    nodes by their labels
  headwater label nodes --all ring-                     all nodes";

#[derive(Clone, Debug, Args)]
struct LabelNodes {
    /// The nodes, as ID or node/ID, and the labels: KEY=VALUE sets one, KEY- takes one away.
    #[arg(required = true, value_name = "NODE|KEY=VALUE|KEY-")]
    words: Vec<String>,

    /// The nodes with these labels, such as 'site=lund,rack in (a,b),!spare'.
    #[arg(long, short = 'l', value_name = "SELECTOR", conflicts_with = "all")]
    selector: Option<Selector>,

    /// All nodes.
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    confirm: ConfirmOption,

    #[command(flatten)]
    common: SendOptions,
}

/// How a request of this client's own words is sent, and its answer printed.
#[derive(Clone, Debug, Args)]
pub(crate) struct SendOptions {
    /// The reason, which each event carries.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    #[command(flatten)]
    now: NowOption,

    /// Print the server's answer as JSON.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    pub(crate) endpoint: Endpoint,
}

/// Does what the command says.
///
/// # Errors
/// If the server refuses or can't be reached, the answer is no or there is nobody to ask, or the output can't be written.
pub async fn run(command: FleetCommand) -> Result<(), Error> {
    match command {
        FleetCommand::Retry(retry) => retry.run().await,
        FleetCommand::Retire(retire) => retire.run().await,
        FleetCommand::Label(LabelEntities { subject: LabelSubject::Nodes(label) }) => label.run().await,
    }
}

impl RetryNodes {
    async fn run(self) -> Result<(), Error> {
        let client = ApiClient::from_options(&self.common.endpoint)?;
        let answer = self.common.send(&client, about_each("retry_node", &self.nodes)).await?;
        let tries = if self.nodes.len() == 1 { "tries" } else { "try" };
        let text = format!("{} {tries} again, at position {}.\n", named(&self.nodes), answer.position);
        self.common.print(&answer, &text)
    }
}

impl RetireNodes {
    async fn run(self) -> Result<(), Error> {
        let question = format!("Retire {}", named(&self.nodes));
        let commands = about_each("retire_node", &self.nodes);
        self.common.show(commands, self.confirm, &question, "That was so before; nothing was changed.\n").await
    }
}

impl LabelNodes {
    async fn run(self) -> Result<(), Error> {
        let words = LabelWords::read(&self.words).map_err(Error::Usage)?;
        let command =
            json!({"type": "relabel_nodes", "target": self.target(&words)?, "set": words.set, "unset": words.unset});
        self.common.show(vec![command], self.confirm, "Label them", "No node's labels changed.\n").await
    }

    fn target(&self, words: &LabelWords) -> Result<Value, Error> {
        match (&self.selector, self.all, words.nodes.is_empty()) {
            (Some(selector), false, true) => Ok(json!(selector)),
            (None, true, true) => Ok(json!({"all": true})),
            (None, false, false) => Ok(json!({"nodes": words.nodes})),
            _ => Err(Error::Usage("say which nodes in one way: their ids, -l SELECTOR, or --all".to_owned())),
        }
    }
}

impl SendOptions {
    /// The same options, with this reason if none was given.
    pub(crate) fn with_default_reason(mut self, reason: Option<String>) -> Self {
        self.reason = self.reason.or(reason);
        self
    }

    /// Sends one request, once however often it is tried. Likely mistakes are printed.
    pub(crate) async fn send(&self, client: &ApiClient, commands: Vec<Value>) -> Result<Answer, Error> {
        // A lost answer is asked for again: the same request must not be taken twice.
        let key =
            Some(format!("words-{}", Digest::of(token::generate().map_err(Error::Randomness)?.as_bytes()).short()));
        let answer = client
            .send_commands(&CommandRequest { reason: self.reason.clone(), now: self.now.now, commands, key })
            .await?;
        output::warn(&answer.warnings);
        Ok(answer)
    }

    /// Shows what commands do, asks if anything changes on nodes or in jobs, and sends exactly that.
    pub(crate) async fn show(
        &self,
        commands: Vec<Value>,
        confirm: ConfirmOption,
        question: &str,
        unchanged: &str,
    ) -> Result<(), Error> {
        let client = ApiClient::from_options(&self.endpoint)?;
        let step = RequestStep::of(commands, self.reason.clone()).saying(self.now);
        let decided = decide(&client, &step).await.map_err(shown)?;
        if !decided.outcome.changes() {
            if !self.json {
                output::text(unchanged)?;
            }
            return Ok(());
        }
        let yes = confirm.yes || decided.outcome.is_quiet();
        if self.json && !yes {
            return Err(Error::Usage("files of nodes change: --json needs --yes".to_owned()));
        }
        let policy = ShowPolicy { confirm: ConfirmOption { yes }, question, prune_max: None, json: self.json };
        show_and_send(&client, &step, &decided, policy).await.map_err(shown)?;
        Ok(())
    }

    /// Prints the answer as JSON, or in words.
    pub(crate) fn print(&self, answer: &Answer, text: &str) -> Result<(), Error> {
        match self.json {
            true => {
                output::json(&serde_json::to_string(answer).expect("BUG: texts and numbers can be written as JSON"))
            }
            false => output::text(text),
        }?;
        Ok(())
    }
}

fn shown(error: ShownRequestError) -> Error {
    Error::Shown(Box::new(error))
}

fn about_each(command: &str, nodes: &[NodeId]) -> Vec<Value> {
    nodes.iter().map(|node| json!({"type": command, "id": node})).collect()
}

/// The nodes as the subject of a sentence.
fn named(nodes: &[NodeId]) -> String {
    match nodes {
        [node] => format!("node {node}"),
        _ => {
            let names: Vec<&str> = nodes.iter().take(NAMED_MAX).map(NodeId::as_str).collect();
            let more = match nodes.len().saturating_sub(NAMED_MAX) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!("{} nodes ({}{more})", nodes.len(), names.join(", "))
        }
    }
}
