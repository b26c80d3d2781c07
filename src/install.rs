//! `headwater install`: everything that has to be there before a server can serve. Doing it again changes nothing.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use schema::change::Change;
use schema::command::{Command, CreatePrincipal, Role};
use schema::digest::Digest;
use schema::entity::Actor;
use schema::event::Event;
use schema::id::LogId;
use schema::request::Request;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::config::{Key, Nats, Postgres};
use crate::ground::{self, Verdict};
use crate::log::appender::Appender;
use crate::log::database::{Database, Error as LogError};
use crate::log::handle::SubmitError;
use crate::log::install::{Passwords, install, publish_anew};
use crate::log::reader::{EventPage, Reader};
use crate::nats::connect::connect_with;
use crate::output::{self, Unwritable};
use crate::password;
use crate::publish::ownership::{PublicKeys, owner};
use crate::publish::{key, streams};
use crate::token;
use crate::wal::slot::Slot;

/// The name of the first administrator.
const FIRST_ADMIN: &str = "admin";

const URL_HELP: &str = "The database as somebody who may create roles and replication slots: \
                        postgres://postgres:password@host/database";
const FILE_HELP: &str = "A file with the password for that URL, which then is postgres://postgres@host/database";

/// Installs a log: roles, schema and publication in PostgreSQL, the replication slot, streams and buckets in NATS, the
/// signing key, and the first administrator. What is there already is left as it is, so it can be run at each deployment.
#[derive(Clone, Debug, clap::Args)]
#[command(mut_args(Postgres::entered_as(URL_HELP, FILE_HELP)))]
pub struct Options {
    #[command(flatten)]
    postgres: Postgres,

    /// The replication slot [default: headwater_ and the database's name]
    #[arg(long, env = "HEADWATER_SLOT", value_name = "NAME")]
    pub slot: Option<String>,

    /// A file with the password of role headwater_app, which appends and reads. Without one the role can't log in unless
    /// you let it.
    #[arg(long, value_name = "FILE")]
    pub app_password_file: Option<PathBuf>,

    /// A file with the password of role headwater_relay, which holds the slot.
    #[arg(long, value_name = "FILE")]
    pub replication_password_file: Option<PathBuf>,

    /// A file with the password of role headwater_reader, which only reads.
    #[arg(long, value_name = "FILE")]
    pub reader_password_file: Option<PathBuf>,

    /// Where the first administrator's token goes (mode 600) or, if the file is there, comes from. Without it the token is
    /// printed, once.
    #[arg(long, value_name = "FILE")]
    pub admin_token_file: Option<PathBuf>,

    /// Print what was installed as JSON.
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    nats: Nats,

    #[command(flatten)]
    key: Key,
}

/// Why it could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// PostgreSQL or NATS did not do its part.
    #[error(transparent)]
    Ground(ground::Error),
    /// A file can't be written.
    #[error("{0}")]
    File(PathBuf, #[source] std::io::Error),
    /// The system gives no randomness.
    #[error(transparent)]
    Token(#[from] token::NoRandomness),
    /// The first administrator could not be created.
    #[error("the first administrator could not be created: {0}")]
    Admin(#[from] SubmitError),
}

impl<E: Into<ground::Error>> From<E> for Error {
    fn from(error: E) -> Self {
        Self::Ground(error.into())
    }
}

impl Error {
    /// How it counts.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Ground(error) => error.verdict(),
            _ => Verdict::Refused,
        }
    }
}

/// What is there now.
#[derive(Debug, Serialize)]
pub struct Installed {
    log_id: String,
    slot: String,
    /// What was wrong with the publication, if it was made anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    publication_was: Option<String>,
    signing_key: String,
    /// The first administrator's token, if it was made now and there is no file for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    admin_token: Option<String>,
}

/// Installs everything, in the order in which one thing needs the other.
///
/// # Errors
/// If anything refuses or can't be reached; running it again goes on where it was.
pub async fn run(options: Options) -> Result<Installed, Error> {
    let key = key::load_or_make(&options.key.signing_key_file)?;
    let database_url = options.postgres.url()?;
    let database = Database::parse(&database_url)?;
    let passwords = Passwords {
        app: options.app_password_file.as_deref().map(password::read).transpose()?,
        relay: options.replication_password_file.as_deref().map(password::read).transpose()?,
        reader: options.reader_password_file.as_deref().map(password::read).transpose()?,
    };
    let log_id = install(&database, &passwords, &key.public()).await?;
    let Nats { nats_prefix, nats_replicas, .. } = &options.nats;
    let password_file = options.nats.nats_password_file.as_deref();
    let link = connect_with(&options.nats.url()?, password_file, "headwater install").await?;
    let jetstream = link.jetstream();
    let log = Reader::open(database.clone()).await?;
    let owner = owner(&jetstream, nats_prefix, &key.public()).await?;
    if let Some(owner) = &owner
        && !is_of(&log, owner.log_id).await?
    {
        return Err(owner.refuses(nats_prefix, log_id).into());
    }
    let slot = Slot::parse(&database_url, options.slot.clone())?;
    let publication = slot.publication_fault().await?;
    if publication.is_some() {
        publish_anew(&database).await?;
    }
    slot.ensure().await?;
    streams::ensure(&jetstream, nats_prefix, usize::from(*nats_replicas)).await?;
    PublicKeys::new(jetstream, nats_prefix.clone(), log_id, key.public()).settle(owner.is_some()).await?;
    let admin_token = first_admin(log, options.admin_token_file.as_deref()).await?;
    Ok(Installed {
        log_id: log_id.to_string(),
        slot: slot.name().to_owned(),
        publication_was: publication.map(|fault| fault.to_string()),
        signing_key: hex::encode(key.public().as_bytes()),
        admin_token,
    })
}

/// Whether an id is the log's, or that of a log that it was begun from: until `headwater recover --new-log` is done, NATS holds what
/// that one left.
async fn is_of(log: &Reader, id: Option<LogId>) -> Result<bool, LogError> {
    let begun = EventPage { limit: 1_000, event_type: Some("LogBegun".to_owned()), ..EventPage::default() };
    let from = |event: &Event| match event.change() {
        Ok(Change::LogBegun(begun)) => Some(begun.from),
        _ => None,
    };
    let before = log.events(begun).await?;
    Ok(id == Some(log.log_id()) || before.iter().filter_map(from).any(|from| Some(from) == id))
}

/// Creates the first administrator, unless there is one. The token is on disk before its hash is in the log, so that an
/// interrupted install never leaves an administrator whose token nobody has.
async fn first_admin(log: Reader, file: Option<&Path>) -> Result<Option<String>, Error> {
    let (appender, log) = Appender::start(log).await?;
    let state = log.view();
    if state.principals().keys().any(|name| state.role(name) == Some(Role::Admin)) {
        return Ok(None);
    }
    let token = match file {
        Some(file) if file.exists() => password::read(file)?,
        Some(file) => {
            let token = token::make()?;
            write_private(file, &token).map_err(|error| Error::File(file.to_owned(), error))?;
            token
        }
        None => token::make()?,
    };
    let name = FIRST_ADMIN.parse().expect("BUG: the first administrator's name is an id");
    let create = CreatePrincipal { name, role: Role::Admin, token_hash: Digest::of(token.as_bytes()) };
    let stop = CancellationToken::new();
    let appending = tokio::spawn(appender.run(stop.clone()));
    let request = Request { reason: Some("installation".into()), ..Request::of([Command::CreatePrincipal(create)]) };
    let created = log.submit(request, Actor::Install, None).await;
    stop.cancel();
    let _ = appending.await;
    created?;
    Ok(file.is_none().then_some(token))
}

fn write_private(file: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

impl Installed {
    /// Prints what is there, for a person or for a program.
    ///
    /// # Errors
    /// If standard output can't be written.
    pub fn print(&self, json: bool) -> Result<(), Unwritable> {
        if json {
            output::json(&serde_json::to_string(self).expect("BUG: text has no failing serializer"))?;
            return Ok(());
        }
        let Self { log_id, slot, publication_was, signing_key, admin_token } = self;
        let publication =
            publication_was.as_ref().map_or_else(String::new, |fault| format!("publication  made anew ({fault})\n"));
        let token = admin_token.as_ref().map_or_else(String::new, |token| {
            format!("admin token  {token}\n\nThis is the only time that the token is shown.\n")
        });
        output::text(&format!(
            "log          {log_id}\nslot         {slot}\nsigning key  {signing_key} (public)\n{publication}{token}\n\
             Next: `headwater serve` with this log's database, NATS and signing key.\n"
        ))?;
        Ok(())
    }
}
