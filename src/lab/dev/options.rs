//! What `headwater dev` is told.
//!
//! Always: what is not said is the same from the command line and from code.

use std::net::SocketAddr;
use std::path::PathBuf;

/// What `headwater dev` is told.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The folder for everything: databases, keys, logs and the nodes' files. Starting again on the same folder goes on
    /// where it was; removing the folder starts anew.
    #[arg(long, value_name = "DIR", default_value = ".headwater")]
    pub dir: PathBuf,

    /// How many edge nodes to enrol and run: node-1, node-2, …
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub nodes: u16,

    /// A shell command that each node runs on a new tree before it takes it; `{}` and HEADWATER_TREE are its path.
    #[arg(long, env = "HEADWATER_CHECK", value_name = "CMD")]
    pub check: Option<String>,

    /// A shell command that each node runs on a tree that it has taken; `{}` and HEADWATER_TREE are its path.
    #[arg(long, env = "HEADWATER_APPLY", value_name = "CMD")]
    pub apply: Option<String>,

    /// How many of the nodes are assessment runtimes as well, the first ones: they claim jobs and run --job-cmd for each.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "job_cmd")]
    pub runtimes: u16,

    /// A shell command that a runtime runs for each job that is due; `{}` and HEADWATER_JOB are the path of its spec.
    #[arg(long, env = "HEADWATER_JOB_CMD", value_name = "CMD")]
    pub job_cmd: Option<String>,

    /// How many jobs a runtime holds at once.
    #[arg(long, env = "HEADWATER_JOBS_MAX", value_name = "N", default_value_t = 10)]
    pub jobs_max: u32,

    /// Where the door listens [default: a free port of 127.0.0.1, the same as last time if it can be]
    #[arg(long, value_name = "ADDR")]
    pub http: Option<SocketAddr>,

    /// What to start beside our own.
    #[command(flatten)]
    pub programs: Programs,

    /// Print where everything is as JSON, on one line: what `dev.json` holds.
    #[arg(long)]
    pub json: bool,

    /// The `headwater` program to start the children with, if it is not this one.
    #[arg(skip)]
    pub program: Option<PathBuf>,
}

/// The programs of others that everything stands on.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Programs {
    /// The folder with `postgres` and `initdb` [default: HEADWATER_POSTGRES_BIN, or what PATH, the distribution or
    /// `make setup` has]
    #[arg(long, value_name = "DIR")]
    pub postgres_bin: Option<PathBuf>,

    /// The nats-server program [default: HEADWATER_NATS_SERVER, or what PATH or `make setup` has]
    #[arg(long, value_name = "PATH")]
    pub nats_server: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dir: ".headwater".into(),
            nodes: 3,
            check: None,
            apply: None,
            runtimes: 0,
            job_cmd: None,
            jobs_max: 10,
            http: None,
            programs: Programs::default(),
            json: false,
            program: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Alone {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn the_defaults_are_the_same_from_the_command_line_and_from_code() {
        let parsed = <Alone as clap::Parser>::parse_from(["dev"]).options;
        assert_eq!(format!("{parsed:?}"), format!("{:?}", Options::default()));
    }
}
