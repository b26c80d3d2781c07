//! `headwater token reset`: a new token for an administrator, when the tokens of all administrators are lost.
//!
//! What always holds: the request is appended like any other, beside running servers, by actor `system/recovery`; the caller owns the
//! database and has the log's signing key; a log that is known to have been restored from a backup is not appended to.

use std::path::PathBuf;

use bus::options::{IdentityOptions, NatsOptions};
use bus::transport::NatsTlsOptions;
use program::output::{self, StdoutError};
use program::token::{self, TokenError};
use schema::address::Prefix;
use schema::command::{Command, CreatePrincipal, Role};
use schema::digest::Digest;
use schema::entity::Actor;
use schema::id::PrincipalName;
use schema::position::Position;
use schema::request::Request;
use serde_json::json;
use store::appender::Appender;
use store::log::SubmitError;
use store::reader::Reader;
use tls::plain::PlainOption;

use crate::backend;
use crate::config::{PostgresOptions, SigningKeyOptions};
use crate::publish::{event_stream, signing_key};

/// The reason in the events.
const REASON: &str = "headwater token reset";

const URL_HELP: &str =
    "The log's database as its owner, as for `headwater install`: postgres://owner:password@host/database";
const FILE_HELP: &str = "A file with the password for that URL, which then is postgres://owner@host/database";

const AFTER_HELP: &str = "\
For when the tokens of all administrators are lost. With one of them left, use `headwater token create` and `revoke`.\n\n  \
headwater token reset --signing-key-file FILE \\\n      \
--database-url postgres://owner@host/headwater \\\n      \
--database-password-file FILE \\\n      \
--nats-url tls://headwater@host:4222 --nats-password-file FILE\n\n\
Servers may be running: they know the new token within a second. On a database that was put back to an earlier state, run\n\
`headwater recover` first.";

/// Makes a new token for an administrator whose own is lost. The one before it is good no longer.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP, mut_args(PostgresOptions::with_help(URL_HELP, FILE_HELP)))]
pub struct Options {
    /// Whose. A name that the log does not know, or that was revoked, becomes an administrator.
    #[arg(long, default_value = "admin")]
    pub name: PrincipalName,

    #[command(flatten)]
    postgres: PostgresOptions,

    #[command(flatten)]
    plain: PlainOption,

    #[command(flatten)]
    key: SigningKeyOptions,

    /// Where the token goes (mode 600) or, if the file is there, comes from. Without it the token is printed, once.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// Where NATS is: given, the log is first compared with what was published of it, so that nothing is appended to a database
    /// that was put back.
    #[arg(long, env = "HEADWATER_NATS_URL", value_name = "URL", hide_env_values = true)]
    pub nats_url: Option<String>,

    /// A file with the password for that URL, which then is tls://user@host:port.
    #[arg(long, env = "HEADWATER_NATS_PASSWORD_FILE", value_name = "FILE")]
    pub nats_password_file: Option<PathBuf>,

    #[command(flatten)]
    nats_tls: NatsTlsOptions,

    /// What all names in NATS begin with.
    #[arg(long, env = "HEADWATER_NATS_PREFIX", value_name = "PREFIX", default_value = "cfg")]
    pub nats_prefix: Prefix,

    #[command(flatten)]
    identity: IdentityOptions,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Why there is no new token.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// PostgreSQL or NATS refused, or could not be reached.
    #[error(transparent)]
    Backend(backend::Error),
    /// The key is not the log's.
    #[error("the signing key in {0} is not the one that this log was installed with ({1})")]
    OtherKey(PathBuf, String),
    /// The role does not own the log.
    #[error(
        "`{0}` does not own this log's tables: give --database-url as the database's owner, as for `headwater install`"
    )]
    NotOwner(String),
    /// The event stream is longer than the log, which was restored from a backup.
    #[error(
        "the log ends at {head} and the event stream at {public}: the database was put back to an earlier state, and nothing may be \
         appended before `headwater recover` has said what is missing"
    )]
    PutBack {
        /// The last position of the log.
        head: Position,
        /// The last sequence of the stream.
        public: Position,
    },
    /// The principal of this name is an auditor.
    #[error("{0} is an auditor: take another --name, or an administrator gives them a new token")]
    Auditor(PrincipalName),
    /// No token can be created or written.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The request was not appended.
    #[error("the token was not changed: {0}")]
    Submit(#[from] SubmitError),
    /// The token was appended and could not be printed.
    #[error("the token was changed, but can't be written: run it again")]
    Output(#[source] StdoutError),
}

backend::command_error!(
    Error,
    Usage: Self::NotOwner(_),
    Unreachable: Self::Output(_) | Self::Submit(SubmitError::Unavailable(_) | SubmitError::Busy),
);

/// Appends the new token, and prints it.
///
/// # Errors
/// If the request is refused, or something can't be reached; nothing is appended then.
pub async fn run(options: Options) -> Result<(), Error> {
    let key = signing_key::load(&options.key.signing_key_file)?;
    let reader = options.postgres.open(options.plain).await?;
    if *reader.public_key() != key.public() {
        let installed = hex::encode(reader.public_key().as_bytes());
        return Err(Error::OtherKey(options.key.signing_key_file, installed));
    }
    if let Some(user) = reader.not_the_owner().await? {
        return Err(Error::NotOwner(user));
    }
    options.check_not_restored(&reader).await?;
    let (appender, log) = Appender::start(reader).await?;
    if log.view().role(&options.name) == Some(Role::Auditor) {
        return Err(Error::Auditor(options.name));
    }
    let token = token::read_or_create(options.token_file.as_deref())?;
    let token_hash = Digest::of(token.as_bytes());
    let reset = CreatePrincipal { name: options.name.clone(), role: Role::Admin, token_hash };
    let request = Request { reason: Some(REASON.to_owned()), ..Request::of([Command::ReplaceToken(reset)]) };
    let position = appender.append_once(&log, request, Actor::Recovery).await?.position;
    output::text(&options.answer(&token, position)).map(drop).map_err(Error::Output)
}

impl Options {
    /// A log that is shorter than what was published of it was restored from a backup.
    async fn check_not_restored(&self, reader: &Reader) -> Result<(), Error> {
        let Some(nats_url) = self.nats_url.clone() else { return Ok(()) };
        let (nats_password_file, nats_prefix) = (self.nats_password_file.clone(), self.nats_prefix.clone());
        let nats = NatsOptions::new(nats_url, nats_password_file, self.nats_tls.clone(), nats_prefix);
        let link = nats.connect::<Error>(self.plain, self.identity.load()?.as_ref(), "headwater token reset").await?;
        backend::nats_up(&link).await?;
        let end = event_stream::end(&link.jetstream(), &self.nats_prefix).await;
        let end = end.map_err(|error| backend::nats_failed(&link, error))?;
        let public = end.map_or(Position::ZERO, |(last, _)| last);
        let head = reader.head().await?.position;
        if public > head { Err(Error::PutBack { head, public }) } else { Ok(()) }
    }

    fn answer(&self, token: &str, position: Position) -> String {
        let (name, file) = (&self.name, self.token_file.as_ref());
        if self.json {
            let token = file.is_none().then_some(token);
            return format!("{}\n", json!({"name": name, "position": position, "token": token, "token_file": file}));
        }
        let token = match file {
            Some(file) => format!("the token in {}", file.display()),
            None => format!("this token, which is shown this once and kept nowhere:\n\n  {token}\n"),
        };
        format!(
            "{name} may enter as admin, from position {position} on, with {token}\nA token that {name} had before is good no longer.\n"
        )
    }
}
