//! `headwater rollout`: looks after changes that reach nodes stage by stage.

mod text;
mod watch;

use std::path::PathBuf;

use api::path::ROLLOUTS;
use clap::{ArgGroup, Args, Subcommand};
use schema::id::{Id, RolloutId};
use serde_json::{Value, json};

use crate::api_client::ApiClient;
use crate::confirm::ConfirmOption;
use crate::endpoint::Options as Endpoint;
use crate::fleet::SendOptions;
use crate::get::{self, QueryOptions, ResourceKind};
use crate::manifest::rollout_policy::{self, RolloutRequest};
use crate::manifest_request::faults::print_faults;

pub use crate::fleet::Error;

/// What is done about a rollout.
#[derive(Clone, Debug, Subcommand)]
pub enum RolloutCommand {
    /// Show a rollout with its stages and what it waits for, or list all of them
    Get(GetRollout),
    /// Start a rollout: nodes get its changes from then on, stage by stage. Shown and asked about first
    Start(StartRollout),
    /// Show what happens in a rollout until it has ended, or was halted
    Watch(WatchRollout),
    /// Release no more nodes for the time being
    Pause(SteerRollout),
    /// Let a rollout go on that was paused or halted
    Resume(ResumeHalted),
    /// Approve the stage that is open
    Approve(ApproveOpenStage),
    /// End a rollout and take its changes back from every node that got them: shown and asked about first
    Abort(EndRollout),
    /// End the last stage although nodes are silent: its changes are for every node from then on. Shown and asked about first
    Complete(EndRollout),
}

/// Which rollout to show.
#[derive(Clone, Debug, Args)]
pub struct GetRollout {
    /// The rollout; without one, all of them are listed.
    #[arg(value_name = "ID")]
    id: Option<RolloutId>,

    #[command(flatten)]
    query: QueryOptions,
}

/// Which rollout is started.
#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("rollout").args(["id", "file"]).required(true))]
#[command(after_help = "\
What it would do is shown first: how many nodes each stage has and which come first, who is not heard or not well, and which files change on \
which nodes. It starts exactly that: if something else would come of it meanwhile, nothing is changed (plan_changed).

Examples:
  headwater rollout start window-80         what was opened before
  headwater rollout start -f rollout.json   a request that opens it, too
  headwater apply -f fleet/ --rollout stages.yaml   what manifests change")]
pub struct StartRollout {
    /// A rollout that was opened.
    #[arg(value_name = "ID")]
    id: Option<RolloutId>,

    /// A file in YAML or JSON with a whole request: `commands`, of which one is a `start_rollout`, and perhaps a `reason`. - is standard input.
    #[arg(short = 'f', long, value_name = "FILE")]
    file: Option<PathBuf>,

    #[command(flatten)]
    confirm: ConfirmOption,

    #[command(flatten)]
    common: SendOptions,
}

/// Which rollout to steer.
#[derive(Clone, Debug, Args)]
pub struct SteerRollout {
    /// The rollout.
    #[arg(value_name = "ID")]
    id: RolloutId,

    #[command(flatten)]
    common: SendOptions,
}

/// Which rollout goes on.
#[derive(Clone, Debug, Args)]
pub struct ResumeHalted {
    /// The rollout.
    #[arg(value_name = "ID")]
    id: RolloutId,

    /// How many failures it goes on with from now on. A halted rollout needs at least as many as it has.
    #[arg(long, value_name = "COUNT")]
    max_failures: Option<u32>,

    #[command(flatten)]
    common: SendOptions,
}

/// Which stage is approved.
#[derive(Clone, Debug, Args)]
pub struct ApproveOpenStage {
    /// The rollout.
    #[arg(value_name = "ID")]
    id: RolloutId,

    /// The name of the stage that is open.
    #[arg(value_name = "STAGE")]
    stage: Id,

    #[command(flatten)]
    common: SendOptions,
}

/// Which rollout ends.
#[derive(Clone, Debug, Args)]
pub struct EndRollout {
    /// The rollout.
    #[arg(value_name = "ID")]
    id: RolloutId,

    #[command(flatten)]
    confirm: ConfirmOption,

    #[command(flatten)]
    common: SendOptions,
}

/// Which rollout to watch.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
On a terminal a table of the stages is kept up to date. Elsewhere a line is printed whenever anything changes: how far the rollout is, and what it
waits for, with the nodes.

Exit codes: 0 it was promoted or completed, 1 it was halted or aborted, 2 usage, 3 the server can't be reached.")]
pub struct WatchRollout {
    /// The rollout.
    #[arg(value_name = "ID")]
    id: RolloutId,

    #[command(flatten)]
    endpoint: Endpoint,
}

/// Does what the command says. False if a rollout that was watched did not end well.
///
/// # Errors
/// If the server refuses or can't be reached, the answer is no or there is nobody to ask, or the output can't be written.
pub async fn run(command: RolloutCommand) -> Result<bool, Error> {
    match command {
        RolloutCommand::Watch(WatchRollout { id, endpoint }) => return watch::run(&id, &endpoint).await,
        RolloutCommand::Get(get) => get.run().await?,
        RolloutCommand::Start(start) => start.run().await?,
        RolloutCommand::Pause(pause) => pause.send("pause_rollout", "is paused").await?,
        RolloutCommand::Resume(resume) => resume.run().await?,
        RolloutCommand::Approve(approve) => approve.run().await?,
        RolloutCommand::Abort(abort) => abort.show("abort_rollout", "Take the changes back").await?,
        RolloutCommand::Complete(complete) => complete.show("complete_rollout", "Let every node have them").await?,
    }
    Ok(true)
}

impl GetRollout {
    async fn run(self) -> Result<(), Error> {
        match self.id {
            Some(id) => self.query.print(&text::path(&id), text::outline).await?,
            None => get::print_list(ResourceKind::Rollouts, ROLLOUTS, &self.query, &[]).await?,
        }
        Ok(())
    }
}

impl StartRollout {
    async fn run(self) -> Result<(), Error> {
        let (commands, reason) = match (&self.id, &self.file) {
            (Some(id), _) => (vec![json!({"type": "start_rollout", "id": id})], None),
            (None, file) => {
                let file = file.as_deref().expect("BUG: the group of arguments needs an id or a file");
                let request = rollout_policy::read_request(file);
                let RolloutRequest { commands, reason } =
                    request.map_err(|faults| Error::Shown(Box::new(print_faults(&faults))))?;
                (commands, reason)
            }
        };
        let common = self.common.with_default_reason(reason);
        common.show(commands, self.confirm, "Start it", "That was so before; nothing was changed.\n").await
    }
}

impl SteerRollout {
    async fn send(self, command: &str, done: &str) -> Result<(), Error> {
        steer(&self.common, &self.id, json!({"type": command, "id": self.id}), done).await
    }
}

impl ResumeHalted {
    async fn run(self) -> Result<(), Error> {
        let limit = self.max_failures.map(|count| json!({"count": count}));
        let command = json!({"type": "resume_rollout", "id": self.id, "max_failures": limit});
        steer(&self.common, &self.id, command, "goes on").await
    }
}

impl ApproveOpenStage {
    async fn run(self) -> Result<(), Error> {
        let command = json!({"type": "approve_stage", "id": self.id, "stage": self.stage});
        steer(&self.common, &self.id, command, &format!("has stage {} approved", self.stage)).await
    }
}

impl EndRollout {
    async fn show(self, command: &str, question: &str) -> Result<(), Error> {
        let commands = vec![json!({"type": command, "id": self.id})];
        self.common.show(commands, self.confirm, question, "Nothing changes on any node.\n").await
    }
}

async fn steer(common: &SendOptions, id: &RolloutId, command: Value, done: &str) -> Result<(), Error> {
    let client = ApiClient::from_options(&common.endpoint)?;
    let answer = common.send(&client, vec![command]).await?;
    let text = match answer.events.is_empty() {
        true => format!("rollout {id} was so before; nothing was changed\n"),
        false => {
            format!("rollout {id} {done}, at position {}; `headwater rollout watch {id}` shows it\n", answer.position)
        }
    };
    common.print(&answer, &text)
}
