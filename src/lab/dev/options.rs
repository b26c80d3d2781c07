//! Options of `headwater dev`. The defaults are the same on the command line and in code.

use std::net::SocketAddr;
use std::path::PathBuf;

use tls::plain::PlainOption;

/// Options of `headwater dev`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The folder for everything: databases, keys, logs and the nodes' files. A second start on the same folder continues
    /// there; remove the folder to start with an empty log.
    #[arg(long, value_name = "DIR", default_value = ".headwater")]
    pub dir: PathBuf,

    /// How many edge nodes to enrol and run: node-1, node-2, …
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub nodes: u16,

    /// A shell command that each node runs on a new tree before it is put in force; `{}` and HEADWATER_TREE are its path.
    #[arg(long, env = "HEADWATER_CHECK", value_name = "CMD")]
    pub check: Option<String>,

    /// A shell command that each node runs after a tree was put in force; `{}` and HEADWATER_TREE are its path.
    #[arg(long, env = "HEADWATER_APPLY", value_name = "CMD")]
    pub apply: Option<String>,

    /// How many of the nodes are assessment runtimes as well, the first ones: they claim jobs and run --job-cmd for each.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "job_cmd")]
    pub runtimes: u16,

    /// A shell command that a runtime runs for each job that is due; `{}` and HEADWATER_JOB are the path of its spec.
    #[arg(long, env = "HEADWATER_JOB_CMD", value_name = "CMD")]
    pub job_cmd: Option<String>,

    /// How many jobs a runtime claims at most.
    #[arg(long, env = "HEADWATER_JOBS_MAX", value_name = "N", default_value_t = 10)]
    pub jobs_max: u32,

    /// The address of the HTTP server [default: a free port of 127.0.0.1, if possible the same as last time]
    #[arg(long, value_name = "ADDR")]
    pub http: Option<SocketAddr>,

    /// Encrypt everything: a new CA is made, and a certificate for the HTTP API, PostgreSQL and NATS each, which all clients verify.
    /// `dev.json` names the CA's file.
    #[arg(long)]
    pub tls: bool,

    /// Whether the HTTP API may be plain for other machines.
    #[command(flatten)]
    pub plain: PlainOption,

    /// Programs of others.
    #[command(flatten)]
    pub programs: Programs,

    /// Print all addresses as JSON, on one line: the content of `dev.json`.
    #[arg(long)]
    pub json: bool,

    /// The `headwater` to start as children; none for this program.
    #[arg(skip)]
    pub program: Option<PathBuf>,
}

/// PostgreSQL and nats-server.
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
            tls: false,
            plain: PlainOption::default(),
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
