//! `headwater bus init`: makes the keys of the servers, and the part of nats-server's configuration that says who may do what.

use std::path::PathBuf;

use bus::bus_folder::{BUS_CONF, BusFolder};
use program::output;
use program::password;
use schema::address::Prefix;
use serde_json::json;

use crate::backend;

/// Makes a folder with the keys of the servers (relay.nk, door.nk, reader.nk, answerer.nk, warden.nk, issuer.nk; mode 600) and bus.conf,
/// which the configuration of nats-server includes: from then on the log says which nodes are let in. Keys that are there are kept. It
/// touches neither PostgreSQL nor NATS.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The folder, made if it is missing.
    #[arg(long, env = "HEADWATER_BUS_DIR", value_name = "DIR")]
    pub dir: PathBuf,

    /// What the names in NATS begin with.
    #[arg(long, env = "HEADWATER_NATS_PREFIX", value_name = "PREFIX", default_value = "cfg")]
    pub nats_prefix: Prefix,

    /// The user of the password that nodes share until now, so that it still opens NATS for nodes without keys, until `headwater bus
    /// close`.
    #[arg(long, value_name = "USER", requires = "open_password_file")]
    pub open_user: Option<String>,

    /// A file with that password.
    #[arg(long, value_name = "FILE", requires = "open_user")]
    pub open_password_file: Option<PathBuf>,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Why the folder was not made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file can't be read or written.
    #[error(transparent)]
    Backend(backend::Error),
    /// The result can't be printed.
    #[error(transparent)]
    Output(output::StdoutError),
}

backend::command_error!(Error);

/// Makes the folder.
///
/// # Errors
/// If a file can't be read or written, or holds something else.
pub fn run(options: &Options) -> Result<(), Error> {
    let folder = BusFolder::at(&options.dir);
    let had_any = folder.path(BUS_CONF).exists();
    let mut made = folder.make(&options.nats_prefix)?;
    if let (Some(user), Some(file)) = (&options.open_user, &options.open_password_file) {
        made.extend(folder.keep_open_password(&format!("{user}:{}", password::read(file)?))?);
    }
    let (dir, conf) = (options.dir.display(), folder.path(BUS_CONF));
    let done = match (made.as_slice(), had_any) {
        ([], _) => format!(
            "All files of {dir} are there already and were left as they are; nothing was made. What they are for:"
        ),
        (made, true) => format!(
            "Wrote {} in {dir}; the other files are there already and were left as they are. nats-server reads bus.conf when it is started. Next:",
            made.join(", ")
        ),
        (_, false) => format!("Made {dir}. Next:"),
    };
    match options.json {
        true => output::json(&json!({"dir": options.dir, "bus_conf": conf, "made": made}).to_string()),
        false => output::text(&format!(
            "{done}\n\n\
             1. Let the configuration of nats-server include {}, in place of its own users (it looks for the \
             file below the folder of its configuration), and restart nats-server.\n\
             2. headwater install --nats-nkey-file {dir}/relay.nk …\n\
             3. headwater serve --nats-nkey-file {dir}/relay.nk --bus-dir {dir} …\n   \
             (a server with role door: --nats-nkey-file {dir}/door.nk)\n\
             4. headwater node token create … lets nodes join.\n",
            conf.display()
        )),
    }
    .map(drop)
    .map_err(Error::Output)
}
