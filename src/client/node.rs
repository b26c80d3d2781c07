//! `headwater node` and `headwater bus close`: who may connect to NATS.

use api::log::LogStatus;
use api::path::LOG;
use clap::{Args, Subcommand};
use schema::id::NodeId;
use serde_json::json;

use crate::api_client::ApiClient;
use crate::join_token::{self, JoinTokenCommand};
use crate::node_access::{Common, Error};

/// What an administrator does about nodes' access to NATS.
#[derive(Clone, Debug, Subcommand)]
pub enum NodeCommand {
    /// Tokens with which nodes join: create, list and revoke them
    #[command(subcommand)]
    Token(JoinTokenCommand),
    /// Shut a node out of NATS at once; its keys are never let in again
    Bar(BarNode),
}

/// Shuts a node out of NATS: its connections are cut, and its keys are never let in again. What it runs, it keeps. It comes back when it
/// is retired, and then enrolled again with other keys.
#[derive(Clone, Debug, Args)]
pub struct BarNode {
    /// The node.
    id: NodeId,

    /// Why; the log keeps it.
    #[arg(long, value_name = "TEXT")]
    reason: String,

    #[command(flatten)]
    common: Common,
}

/// Closes NATS for nodes without keys: the password that all nodes shared opens nothing any more, and reports that are not signed count
/// no more. It can't be undone. `headwater get nodes` shows which nodes still have no keys.
#[derive(Clone, Debug, Args)]
pub struct CloseBus {
    #[command(flatten)]
    common: Common,
}

/// Does what the command says.
///
/// # Errors
/// If the server refuses or can't be reached, or the output can't be written.
pub async fn run(command: NodeCommand) -> Result<(), Error> {
    match command {
        NodeCommand::Token(command) => join_token::run(command).await,
        NodeCommand::Bar(BarNode { id, reason, common }) => {
            let done = format!("Node {id} is shut out: its connections are cut, and its keys open nothing any more.\n");
            common.send(json!({"type": "bar_node", "id": id}), Some(reason), &done).await
        }
    }
}

/// Closes the bus.
///
/// # Errors
/// As [`run`].
pub async fn close_bus(CloseBus { common }: CloseBus) -> Result<(), Error> {
    let log: LogStatus = ApiClient::from_options(&common.endpoint)?.get(LOG).await?;
    let done = "The shared password opens NATS for nobody any more; nodes without keys join with a token.\n";
    common.send(json!({"type": "close_bus", "id": log.log_id}), None, done).await
}
