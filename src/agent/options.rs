//! Flags and variables of the agent and of its subcommands.

use std::path::PathBuf;
use std::time::Duration;

use bus::options::NatsOptions;
use clap::{ArgMatches, Command};
use schema::command::MediaType;
use schema::id::{LogId, NodeId};
use schema::limit::{CLAIM_JOBS_MAX, LEASE_S_DEFAULT, LEASE_S_MAX, LEASE_S_MIN};
use schema::path::DocumentPath;
use tls::plain::PlainOption;

use crate::hook::{Hook, HookPhase};
use crate::node_state::PinnedKey;

const URL_HELP: &str = "The URL of NATS: tls://user:password@host:port, several separated by commas; nats:// for this machine. NATS need not run yet";
const FILE_HELP: &str = "A file with the password for that URL, which then is tls://user@host:port without one";
const PREFIX_HELP: &str = "The prefix of all names in NATS, as given to `headwater install`";

/// Runs the agent of one node: it keeps a folder as the server desires it, and reports what runs.
#[derive(Clone, Debug, clap::Args)]
#[command(mut_args(NatsOptions::with_help(URL_HELP, FILE_HELP, PREFIX_HELP)))]
pub struct Options {
    /// The node's id, as it was enrolled. A folder belongs to one node for ever.
    #[arg(long, env = "HEADWATER_NODE", value_name = "ID")]
    pub node: NodeId,

    /// The node's folder. Your programs read `<dir>/current/files/…`; a switch changes all of it at once.
    #[arg(long, env = "HEADWATER_NODE_DIR", value_name = "DIR")]
    pub dir: PathBuf,

    /// Where NATS is.
    #[command(flatten)]
    pub nats: NatsOptions,

    /// Whether NATS may be plain on another machine.
    #[command(flatten)]
    pub plain: PlainOption,

    /// The log's public key, 64 hex digits, as `GET /v1/log` shows it. Without it the node trusts on first use the only key
    /// that NATS holds, and then that key for ever.
    #[arg(long, env = "HEADWATER_TRUST", value_name = "HEX")]
    pub trust: Option<PinnedKey>,

    /// Runs on a new tree before it is put in force, with `sh -c`; `{}` and HEADWATER_TREE are its path. If its exit code is
    /// not 0, the tree is rejected and what runs stays. Processes that it leaves behind are killed when it ends. It gets a copy
    /// that is thrown away: what it writes there reaches nothing that runs, and is reported as a warning.
    #[arg(long, env = "HEADWATER_CHECK", value_name = "CMD")]
    pub check: Option<String>,

    /// Runs after a tree was put in force, like --check; for example to reload a service. If its exit code is not 0, the agent
    /// goes back to the last good tree. Background processes that it starts live on if its exit code is 0, or else are killed.
    /// They belong to the agent's service all the same: a process that should outlive the agent needs a service of its own. It
    /// must not write into the tree: that is drift, and is a failure when it returns after three repairs.
    #[arg(long, env = "HEADWATER_APPLY", value_name = "CMD")]
    pub apply: Option<String>,

    /// How many seconds --check and --apply may take before they are killed, with their children, and the tree is rejected.
    #[arg(long, env = "HEADWATER_HOOK_TIMEOUT_S", value_name = "SECONDS", default_value_t = 60)]
    pub hook_timeout_s: u64,

    /// What to do about a file that was changed, added or removed by hand. Either way it is reported.
    #[arg(long, env = "HEADWATER_ON_DRIFT", value_name = "WHAT", value_enum, default_value_t = OnDrift::Repair)]
    pub on_drift: OnDrift,

    /// What an assessment runtime runs.
    #[command(flatten)]
    pub jobs: RuntimeOptions,
}

/// Flags of a node that runs jobs.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Assessment runtime")]
pub struct RuntimeOptions {
    /// The node is an assessment runtime, too: it claims jobs, runs --job-cmd for each when it is due, and reports each
    /// outcome to the server.
    #[arg(long, env = "HEADWATER_RUNTIME", requires = "job_cmd")]
    pub runtime: bool,

    /// How many jobs the node claims at most.
    #[arg(long, env = "HEADWATER_JOBS_MAX", value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(CLAIM_JOBS_MAX)))]
    pub jobs_max: u32,

    /// Runs for each job, with `sh -c`; `{}` and HEADWATER_JOB are the path of the job's spec, HEADWATER_JOB_ID its id. Its
    /// output is the evidence, up to 64 KiB; the outcome is `passed` if its exit code is 0, else `failed` or `timed_out`.
    /// Processes that it leaves behind are killed when it ends. It may run again for the same due time if it is interrupted.
    #[arg(long, env = "HEADWATER_JOB_CMD", value_name = "CMD")]
    pub job_cmd: Option<String>,

    /// How many seconds --job-cmd may take before it is killed, with its children.
    #[arg(long, env = "HEADWATER_JOB_TIMEOUT_S", value_name = "SECONDS", default_value_t = 600,
          value_parser = clap::value_parser!(u64).range(1..=u64::from(LEASE_S_MAX)))]
    pub job_timeout_s: u64,

    /// How many job commands run in parallel.
    #[arg(long, env = "HEADWATER_JOBS_AT_ONCE", value_name = "N", default_value_t = 4,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(CLAIM_JOBS_MAX)))]
    pub jobs_at_once: u32,

    /// The lease: after how many seconds of silence the node's jobs may be given to other runtimes. A command that still
    /// runs then is killed.
    #[arg(long, env = "HEADWATER_JOB_LEASE_S", value_name = "SECONDS", default_value_t = LEASE_S_DEFAULT,
          value_parser = clap::value_parser!(u32).range(i64::from(LEASE_S_MIN)..=i64::from(LEASE_S_MAX)))]
    pub job_lease_s: u32,
}

/// What to do about drift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum OnDrift {
    /// Report it, and write the tree anew.
    Repair,
    /// Only report it.
    Report,
}

impl Options {
    /// The operator's command of this phase, if there is one.
    #[must_use]
    pub fn hook(&self, phase: HookPhase) -> Option<Hook> {
        let command = match phase {
            HookPhase::Check => &self.check,
            HookPhase::Apply => &self.apply,
        };
        let timeout = Duration::from_secs(self.hook_timeout_s);
        command.as_ref().map(|command| Hook { phase, command: command.clone(), timeout })
    }
}

/// Prints the state of a node's folder in plain words, whether its agent runs or not. It only reads.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 what runs is what was last seen, nothing newer was refused and nothing was changed by \
                        hand; 1 not so; 2 usage; 3 it is no node's folder, or can't be read."
)]
pub struct StatusOptions {
    /// The node's folder.
    #[arg(long, env = "HEADWATER_NODE_DIR", value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,

    /// Print one JSON object, for programs.
    #[arg(long)]
    pub json: bool,
}

/// Lets a node take the records of another log than the one it follows: of a new log that was begun because the end of the old
/// one was lost (`headwater recover --new-log` prints its id). What runs stays in force until the new log's first record
/// comes. Once that record is accepted, the node never goes back to the old log.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Stop the agent first, and start it again as it was started before. Exit codes: 0 done, or already so; 1 \
                        the agent runs, or the node has left that log before; 2 usage; 3 it is no node's folder."
)]
pub struct AcceptLogOptions {
    /// The id of the new log, from the operator of the server. The agent never takes it from NATS: a forged log would do the
    /// same.
    #[arg(value_name = "LOG_ID")]
    pub log_id: LogId,

    /// The node's folder.
    #[arg(long, env = "HEADWATER_NODE_DIR", value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
}

/// Lets a node join with a token: it makes the node's seed, asks to be let in, and pins the log and its key. Stop the agent first if one
/// runs in the folder. The token is one line from `headwater node token create`, on standard input unless --token-file is given.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Example:\n\n  headwater edge join --dir /var/lib/headwater --node rack-7 < token\n\nExit codes: 0 joined, also if it \
                  had joined before; 1 refused; 2 usage; 3 no answer."
)]
pub struct JoinOptions {
    /// The node's folder.
    #[arg(long, env = "HEADWATER_NODE_DIR", value_name = "DIR")]
    pub dir: PathBuf,

    /// The node's id, unless the token names it.
    #[arg(long, env = "HEADWATER_NODE", value_name = "ID")]
    pub node: Option<NodeId>,

    /// A file with the token, in place of standard input.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// Whether NATS may be reached without TLS.
    #[command(flatten)]
    pub plain: PlainOption,

    /// How many seconds to wait for NATS and for an answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub timeout_s: u64,
}

/// Prints the public keys of a node as JSON, for `enrol_node` or `set_node_keys`. The seed is made if there is none.
#[derive(Clone, Debug, clap::Args)]
pub struct KeyOptions {
    /// The node's folder.
    #[arg(long, env = "HEADWATER_NODE_DIR", value_name = "DIR")]
    pub dir: PathBuf,

    /// The node's id, if the folder is new.
    #[arg(long, env = "HEADWATER_NODE", value_name = "ID")]
    pub node: Option<NodeId>,
}

/// Prints the seed of the key with which a node connects to NATS, for tools such as `nats --nkey FILE`. It is a secret.
#[derive(Clone, Debug, clap::Args)]
pub struct CredsOptions {
    /// The node's folder.
    #[arg(long, env = "HEADWATER_NODE_DIR", value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
}

/// Proposes a file for this node: an administrator reviews it, and accepts or rejects it. It waits on the disk while NATS is away.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n\n  headwater edge propose --dir DIR daq/calibration.json --replace new.json\n\n\
                        `headwater edge proposals` shows what became of it.")]
pub struct ProposeOptions {
    /// The path of the file below `files/`; it may be a new one.
    #[arg(value_name = "PATH")]
    pub path: DocumentPath,

    /// The node's folder.
    #[arg(long, env = "HEADWATER_NODE_DIR", value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,

    /// The file that is proposed, at most 256 KiB.
    #[arg(long, value_name = "FILE")]
    pub replace: PathBuf,

    /// Its media type; that of the file that the node has, unless given.
    #[arg(long, value_name = "TYPE")]
    pub media_type: Option<MediaType>,

    /// Why, for who reviews it.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// Shows what this node proposed last, and what became of it.
#[derive(Clone, Debug, clap::Args)]
pub struct ProposalsOptions {
    /// The node's folder.
    #[arg(long, env = "HEADWATER_NODE_DIR", value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Run the agent, or one of the subcommands.
#[derive(Clone, Debug)]
pub enum EdgeCommand {
    /// `headwater edge --node ID --dir DIR …`
    Run(Box<Options>),
    /// `headwater edge status`
    Status(StatusOptions),
    /// `headwater edge accept-log`
    AcceptLog(AcceptLogOptions),
    /// `headwater edge join`
    Join(JoinOptions),
    /// `headwater edge key`
    Key(KeyOptions),
    /// `headwater edge creds`
    Creds(CredsOptions),
    /// `headwater edge propose`
    Propose(ProposeOptions),
    /// `headwater edge proposals`
    Proposals(ProposalsOptions),
}

const STATUS: &str = "status";
const ACCEPT_LOG: &str = "accept-log";
const JOIN: &str = "join";
const KEY: &str = "key";
const CREDS: &str = "creds";
const PROPOSE: &str = "propose";
const PROPOSALS: &str = "proposals";

// The derived implementation would require the agent's options beside a subcommand, too.
impl clap::Args for EdgeCommand {
    fn augment_args(command: Command) -> Command {
        Options::augment_args(command)
            .args_conflicts_with_subcommands(true)
            .subcommand_negates_reqs(true)
            .subcommand(StatusOptions::augment_args(Command::new(STATUS)))
            .subcommand(AcceptLogOptions::augment_args(Command::new(ACCEPT_LOG)))
            .subcommand(JoinOptions::augment_args(Command::new(JOIN)))
            .subcommand(KeyOptions::augment_args(Command::new(KEY)))
            .subcommand(CredsOptions::augment_args(Command::new(CREDS)))
            .subcommand(ProposeOptions::augment_args(Command::new(PROPOSE)))
            .subcommand(ProposalsOptions::augment_args(Command::new(PROPOSALS)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for EdgeCommand {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        match matches.subcommand() {
            Some((STATUS, matches)) => StatusOptions::from_arg_matches(matches).map(Self::Status),
            Some((JOIN, matches)) => JoinOptions::from_arg_matches(matches).map(Self::Join),
            Some((KEY, matches)) => KeyOptions::from_arg_matches(matches).map(Self::Key),
            Some((CREDS, matches)) => CredsOptions::from_arg_matches(matches).map(Self::Creds),
            Some((PROPOSE, matches)) => ProposeOptions::from_arg_matches(matches).map(Self::Propose),
            Some((PROPOSALS, matches)) => ProposalsOptions::from_arg_matches(matches).map(Self::Proposals),
            Some((_, matches)) => AcceptLogOptions::from_arg_matches(matches).map(Self::AcceptLog),
            None => Options::from_arg_matches(matches).map(|options| Self::Run(options.into())),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
