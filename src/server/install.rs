//! `headwater install`: creates everything that a server needs. Running it again adds what is missing.

use std::path::{Path, PathBuf};

use bus::options::{IdentityOptions, NatsOptions};
use program::output::{self, StdoutError};
use program::password;
use program::token::{self, TokenError};
use schema::address::{APP_ROLE, RELAY_ROLE};
use schema::change::Change;
use schema::command::{Command, CreatePrincipal, Role};
use schema::digest::Digest;
use schema::entity::Actor;
use schema::event::Event;
use schema::id::{LogId, PrincipalName};
use schema::request::Request;
use serde::Serialize;
use store::appender::Appender;
use store::database::{Database, Error as LogError};
use store::install::{Passwords, install, publish_anew};
use store::log::SubmitError;
use store::reader::{EventPage, Reader};
use tls::plain::PlainOption;
use wal::Error as WalError;

use crate::backend;
use crate::config::{PostgresOptions, SigningKeyOptions, StreamOptions};
use crate::publish::ownership::{PublicKeys, prefix_owner};
use crate::publish::{signing_key, streams};

/// The name of the first administrator.
const FIRST_ADMIN: &str = "admin";

const URL_HELP: &str = "The database as a superuser; or as its owner, once the roles of --print-roles are there: \
                        postgres://postgres:password@host/database";
const FILE_HELP: &str = "A file with the password for that URL, which then is postgres://postgres@host/database";

const AFTER_HELP: &str = "\
Rights: a superuser may do all of it. On PostgreSQL 15 nobody else may let role headwater_relay replicate, whatever CREATEROLE says;\n\
from 16 on a role with CREATEROLE and REPLICATION that owns the database may. Else an administrator of PostgreSQL runs once what\n\
`headwater install --print-roles` prints, and the database's owner installs with no other right and without the flags for the roles'\n\
passwords; the slot is then made by the relay when it first starts.";

/// The command line of `headwater install`.
#[derive(Clone, Debug)]
pub enum InstallCommand {
    /// Install.
    Install(Box<Options>),
    /// Print the SQL that creates the roles, and touch nothing.
    PrintRoles,
}

const PRINT_ROLES: &str = "print_roles";

impl clap::Args for InstallCommand {
    fn augment_args(command: clap::Command) -> clap::Command {
        let print = clap::Arg::new(PRINT_ROLES).long("print-roles").action(clap::ArgAction::SetTrue).help(
            "Print the SQL that makes the three roles, for an administrator of PostgreSQL to run, and do nothing else",
        );
        let command = Options::augment_args(command).arg(print).after_help(AFTER_HELP);
        // Options that an installation requires are not required for printing.
        command.mut_args(|arg| match arg.is_required_set() {
            true => arg.required(false).required_unless_present(PRINT_ROLES),
            false => arg,
        })
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for InstallCommand {
    fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        match matches.get_flag(PRINT_ROLES) {
            true => Ok(Self::PrintRoles),
            false => Options::from_arg_matches(matches).map(|options| Self::Install(Box::new(options))),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Installs a log: roles, schema and publication in PostgreSQL, the replication slot, streams and buckets in NATS, the
/// signing key, and the first administrator. What is there already is left as it is, so it can be run at each deployment.
#[derive(Clone, Debug, clap::Args)]
#[command(mut_args(PostgresOptions::with_help(URL_HELP, FILE_HELP)))]
pub struct Options {
    #[command(flatten)]
    postgres: PostgresOptions,

    #[command(flatten)]
    plain: PlainOption,

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
    /// printed, once. A log that has an administrator keeps them; what became of the file is said.
    #[arg(long, value_name = "FILE")]
    pub admin_token_file: Option<PathBuf>,

    /// Print what was installed as JSON.
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    nats: NatsOptions,

    #[command(flatten)]
    identity: IdentityOptions,

    #[command(flatten)]
    streams: StreamOptions,

    #[command(flatten)]
    key: SigningKeyOptions,
}

/// Why a log could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// PostgreSQL or NATS refused, or could not be reached.
    #[error(transparent)]
    Backend(backend::Error),
    /// The first administrator's token can't be created or written.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The first administrator could not be created.
    #[error("the first administrator could not be created: {0}")]
    Admin(#[from] SubmitError),
}

backend::command_error!(Error);

/// The result of an installation, which is printed.
#[derive(Debug, Serialize)]
pub struct Installation {
    log_id: String,
    slot: String,
    /// What was wrong with the publication, if it was created again.
    #[serde(skip_serializing_if = "Option::is_none")]
    publication_was: Option<String>,
    signing_key: String,
    /// `created` or `kept`.
    admin: &'static str,
    /// The first administrator's token, if it was created now and there is no file for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    admin_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    admin_token_file: Option<TokenFileResult>,
    #[serde(skip)]
    slot_note: &'static str,
    /// The line about the administrator.
    #[serde(skip)]
    admin_line: String,
    #[serde(skip)]
    next_steps: String,
}

/// Installs everything, each part after those that it needs.
///
/// # Errors
/// If anything refuses or can't be reached; running it again goes on where it was.
pub async fn run(options: Options) -> Result<Installation, Error> {
    let key = signing_key::load_or_create(&options.key.signing_key_file)?;
    let database_url = options.postgres.url()?;
    let database = options.postgres.database(options.plain)?;
    let passwords = Passwords {
        app: options.app_password_file.as_deref().map(password::read).transpose()?,
        relay: options.replication_password_file.as_deref().map(password::read).transpose()?,
        reader: options.reader_password_file.as_deref().map(password::read).transpose()?,
    };
    let log_id = install(&database, &passwords, &key.public()).await?;
    let nats_prefix = &options.nats.nats_prefix;
    let link =
        options.nats.connect::<Error>(options.plain, options.identity.load()?.as_ref(), "headwater install").await?;
    backend::nats_up(&link).await?;
    let jetstream = link.jetstream();
    let log = Reader::open(database.clone()).await?;
    let owner = prefix_owner(&jetstream, nats_prefix, &key.public()).await;
    let owner = owner.map_err(|error| backend::nats_failed(&link, error))?;
    if let Some(owner) = &owner
        && !is_same_log(&log, owner.log_id).await?
    {
        return Err(owner.refuses(nats_prefix, log_id).into());
    }
    let slot = options.postgres.slot(&database_url, "--database-url", options.slot.clone(), options.plain)?;
    let publication = slot.publication_fault().await?;
    if publication.is_some() {
        publish_anew(&database).await?;
    }
    let is_slot_created = match slot.ensure().await {
        Ok(_) => true,
        // The relay's role may, and creates the slot when it first starts. It misses nothing, as it reads the table first.
        Err(WalError::MayNotReplicate { .. }) => false,
        Err(error) => return Err(error.into()),
    };
    streams::ensure(&jetstream, nats_prefix, usize::from(options.streams.nats_replicas)).await?;
    PublicKeys::new(jetstream, nats_prefix.clone(), log_id, key.public()).publish(owner.is_some()).await?;
    let next_steps = next_steps(&database, &options);
    let slot_note = if is_slot_created { "" } else { " (the relay makes it when it first starts)" };
    let admin = ensure_admin(log, options.admin_token_file.as_deref()).await?;
    Ok(Installation {
        log_id: log_id.to_string(),
        slot: slot.name().to_owned(),
        publication_was: publication.map(|fault| fault.to_string()),
        signing_key: hex::encode(key.public().as_bytes()),
        admin: if admin.existed { "kept" } else { "created" },
        slot_note,
        admin_line: admin.line(options.admin_token_file.as_deref()),
        admin_token: admin.token,
        admin_token_file: admin.file,
        next_steps,
    })
}

/// Whether an id is the log's, or that of a log that it was begun from: until `headwater recover --new-log` has finished, NATS still
/// holds the older log.
async fn is_same_log(log: &Reader, id: Option<LogId>) -> Result<bool, LogError> {
    let begun = EventPage { limit: 1_000, event_type: Some("LogBegun".to_owned()), ..EventPage::default() };
    let from = |event: &Event| match event.change() {
        Ok(Change::LogBegun(begun)) => Some(begun.from),
        _ => None,
    };
    let begun = log.events(begun).await?;
    Ok(id == Some(log.log_id()) || begun.iter().filter_map(from).any(|from| Some(from) == id))
}

/// How to start a server on the installed log, as the roles that have no more rights than it needs.
fn next_steps(database: &Database, options: &Options) -> String {
    let (place, key) = (database.place(), options.key.signing_key_file.display());
    let file =
        |file: &Option<PathBuf>| file.as_ref().map_or_else(|| "FILE".to_owned(), |file| file.display().to_string());
    let (app, relay) = (file(&options.app_password_file), file(&options.replication_password_file));
    let mut text = format!(
        "Next, as the roles that were made for it and not as `{user}`:\n\n  headwater serve \\\n      \
         --database-url postgres://{APP_ROLE}@{place} --database-password-file {app} \\\n      \
         --replication-url postgres://{RELAY_ROLE}@{place} --replication-password-file {relay} \\\n      \
         --signing-key-file {key} --nats-url …",
        user = database.user(),
    );
    if let Some(nkey) = &options.identity.nats_nkey_file {
        // The folder of the bus holds the other keys, too, with which a server answers who may come in.
        let bus = nkey.parent().filter(|bus| !bus.as_os_str().is_empty()).unwrap_or(Path::new("."));
        text.push_str(&format!(" \\\n      --nats-nkey-file {} --bus-dir {}", nkey.display(), bus.display()));
    }
    if options.app_password_file.is_none() || options.replication_password_file.is_none() {
        text.push_str(
            "\n\nA role whose password was not given here may not be able to log in yet: --app-password-file and \
             --replication-password-file give it one, or `headwater install --print-roles` says how an administrator of PostgreSQL does.",
        );
    }
    text
}

/// Creates the first administrator, unless the log has one. The token is on disk before its hash is in the log, so that an interrupted
/// installation never leaves an administrator whose token nobody has.
async fn ensure_admin(log: Reader, file: Option<&Path>) -> Result<AdminResult, Error> {
    let (appender, log) = Appender::start(log).await?;
    let state = log.view();
    let is_admin = |name: &&PrincipalName| state.role(name) == Some(Role::Admin);
    let existing: Vec<String> = state.principals().keys().filter(is_admin).map(ToString::to_string).collect();
    if !existing.is_empty() {
        let compare = |file: &Path| match password::read(file) {
            _ if !file.exists() => TokenFileResult::NotWritten,
            Ok(token) => match state.bearer(&Digest::of(token.as_bytes())) {
                Some((_, Role::Admin)) => TokenFileResult::Matches,
                _ => TokenFileResult::Differs,
            },
            Err(_) => TokenFileResult::Differs,
        };
        return Ok(AdminResult { existed: true, names: existing, token: None, file: file.map(compare) });
    }
    let outcome = file.map(|file| if file.exists() { TokenFileResult::Read } else { TokenFileResult::Written });
    let token = token::read_or_create(file)?;
    let name = FIRST_ADMIN.parse().expect("BUG: the first administrator's name is an id");
    let create = CreatePrincipal { name, role: Role::Admin, token_hash: Digest::of(token.as_bytes()) };
    let request = Request { reason: Some("installation".into()), ..Request::of([Command::CreatePrincipal(create)]) };
    appender.append_once(&log, request, Actor::Install).await?;
    let names = vec![FIRST_ADMIN.to_owned()];
    Ok(AdminResult { existed: false, names, token: file.is_none().then_some(token), file: outcome })
}

/// The administrators of the log, and what became of the file for the first one's token.
#[derive(Debug)]
struct AdminResult {
    existed: bool,
    names: Vec<String>,
    /// Created now and written nowhere.
    token: Option<String>,
    file: Option<TokenFileResult>,
}

/// What became of the file for the first administrator's token.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum TokenFileResult {
    /// A new token was written to it.
    Written,
    /// The token in it was given to the first administrator.
    Read,
    /// There was an administrator already, and the file holds their token.
    Matches,
    /// There was an administrator already, and the file holds no administrator's token.
    Differs,
    /// There was an administrator already, whose token can't be written because the log knows only its hash.
    NotWritten,
}

impl AdminResult {
    fn line(&self, file: Option<&Path>) -> String {
        let (names, file) = (self.names.join(", "), file.map(|file| file.display().to_string()).unwrap_or_default());
        let lost = "an administrator makes another by `headwater token create`; if all of their tokens are lost, `headwater token \
                    reset` makes one";
        match (self.file, self.existed) {
            (None, true) => format!("there already: {names}; nothing was changed"),
            (None, false) => names,
            (Some(TokenFileResult::Written), _) => format!("{names}; the token was written to {file}"),
            (Some(TokenFileResult::Read), _) => format!("{names}; the token is the one in {file}"),
            (Some(TokenFileResult::Matches), _) => {
                format!("there already: {names}; the token in {file} is good, nothing was changed")
            }
            (Some(TokenFileResult::Differs), _) => {
                format!(
                    "there already: {names}; the token in {file} is no administrator's, and was not made one: {lost}"
                )
            }
            (Some(TokenFileResult::NotWritten), _) => {
                format!(
                    "there already: {names}; no token was written to {file}, because the log knows only its hash: {lost}"
                )
            }
        }
    }
}

impl Installation {
    /// Prints the result, for a person or as JSON.
    ///
    /// # Errors
    /// If standard output can't be written.
    pub fn print(&self, json: bool) -> Result<(), StdoutError> {
        if json {
            output::json(&serde_json::to_string(self).expect("BUG: text has no failing serializer"))?;
            return Ok(());
        }
        let Self { log_id, slot, slot_note, publication_was, signing_key, admin_line, admin_token, next_steps, .. } =
            self;
        let publication =
            publication_was.as_ref().map_or_else(String::new, |fault| format!("publication    made anew ({fault})\n"));
        let token = admin_token.as_ref().map_or_else(String::new, |token| {
            format!("admin token    {token}\n\nThis is the only time that the token is shown.\n")
        });
        output::text(&format!(
            "log            {log_id}\nslot           {slot}{slot_note}\nsigning key    {signing_key} (public)\n{publication}\
             administrator  {admin_line}\n{token}\n{next_steps}\n"
        ))?;
        Ok(())
    }
}
