//! `headwater token`: creates, lists and revokes tokens.
//!
//! Always: a token is made and printed here, once. The server gets only its SHA-256, and only after the token was printed, so
//! that no principal exists whose token was never seen.

use std::fmt::Write as _;

use api::path::PRINCIPALS;
use api::principal::PrincipalView;
use clap::{Args, Subcommand};
use program::exit::ExitClass;
use program::output::{self, PipeState, StdoutError};
use program::token::{self, RandomnessError};
use schema::command::Role;
use schema::digest::Digest;
use schema::id::PrincipalName;
use schema::instant::Instant;
use schema::position::Position;
use serde::Serialize;
use serde_json::{Value, json};

use crate::api_client::{ApiClient, CommandRequest};
use crate::endpoint::{Options as Endpoint, ServerUrl};
use crate::error::Error as ClientError;

/// What `headwater token --help` ends with.
pub const AFTER_HELP: &str = "\
A token authenticates one principal: a person, or a program with a name. The log knows the SHA-256 of each token and \
never the token, so a lost one can't be found again: revoke it, and create another.\n\n\
The first administrator's token comes from `headwater install`; if it is lost and nobody else can revoke it, `headwater token reset` \
makes another, for who owns the database and has the signing key. With `headwater dev` it is in <dir>/secrets/admin.token:\n\n  \
export HEADWATER_URL=http://127.0.0.1:7300\n  \
export HEADWATER_TOKEN=\"$(cat .headwater/secrets/admin.token)\"\n  \
headwater token create --name grafana --role auditor";

/// What an administrator does about tokens.
#[derive(Clone, Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token for a new principal, and show it once
    Create(CreateToken),
    /// Show all principals, and whose token is revoked
    List(ListTokens),
    /// Revoke the token of a principal; takes effect at once, and stays in the log
    Revoke(RevokeToken),
}

/// Makes a token for a new principal.
#[derive(Clone, Debug, Args)]
pub struct CreateToken {
    /// The principal's name. Every event names the principal that caused it, so give each person and program its own.
    #[arg(long)]
    name: PrincipalName,

    /// What it may do: an auditor reads, an admin does everything.
    #[arg(long)]
    role: RoleName,

    #[command(flatten)]
    common: Common,
}

/// Lists the principals.
#[derive(Clone, Debug, Args)]
pub struct ListTokens {
    #[command(flatten)]
    common: Common,
}

/// Revokes the token of a principal.
#[derive(Clone, Debug, Args)]
pub struct RevokeToken {
    /// The principal's name.
    name: PrincipalName,

    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Debug, Args)]
struct Common {
    #[command(flatten)]
    endpoint: Endpoint,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum RoleName {
    Admin,
    Auditor,
}

/// Why a command about tokens failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused, or could not be reached.
    #[error(transparent)]
    Server(#[from] ClientError),
    /// The system gives no random bytes.
    #[error(transparent)]
    RandomnessError(#[from] RandomnessError),
    /// Standard output can't be written, after everything was done.
    #[error(transparent)]
    Output(#[from] StdoutError),
    /// A new token can't be printed.
    #[error("nothing was sent to the server, because the new token could not be printed")]
    NotPrinted(#[source] Option<StdoutError>),
    /// The server refused, after the token was printed.
    #[error("the token that was printed is not valid: {name} was not created")]
    NotCreated {
        /// The principal that was not created.
        name: PrincipalName,
        /// Why not.
        source: ClientError,
    },
    /// No answer came, after the token was printed.
    #[error(
        "it is not known whether the token that was printed is valid: `headwater token list` shows {name} if it is"
    )]
    OutcomeUnknown {
        /// The principal that may have been created.
        name: PrincipalName,
        /// Why there is no answer.
        source: ClientError,
    },
}

impl Error {
    /// The class of the failure.
    #[must_use]
    pub fn exit_class(&self) -> ExitClass {
        match self {
            Self::Server(error) | Self::OutcomeUnknown { source: error, .. } => error.exit_class(),
            Self::Output(_) | Self::NotPrinted(_) => ExitClass::Unreachable,
            _ => ExitClass::Refused,
        }
    }
}

/// A new token. It is printed before the request is sent; the position follows after the answer.
struct NewToken<'a> {
    name: &'a PrincipalName,
    role: Role,
    token: &'a str,
    json: bool,
}

#[derive(Serialize)]
struct RevokedToken<'a> {
    name: &'a PrincipalName,
    position: Position,
    changed: bool,
}

/// A principal, as `token list --json` prints it.
#[derive(Serialize)]
struct ListedToken {
    name: PrincipalName,
    role: Role,
    revoked: bool,
    at: Instant,
}

impl From<PrincipalView> for ListedToken {
    fn from(PrincipalView { name, role, revoked, at, .. }: PrincipalView) -> Self {
        Self { name, role, revoked, at }
    }
}

/// Does what the command says.
///
/// # Errors
/// If the server refuses or can't be reached, or the output can't be written.
pub async fn run(command: TokenCommand) -> Result<(), Error> {
    match command {
        TokenCommand::Create(create) => create.run().await,
        TokenCommand::List(list) => list.run().await,
        TokenCommand::Revoke(revoke) => revoke.run().await,
    }
}

impl CreateToken {
    async fn run(self) -> Result<(), Error> {
        let Self { name, role, common } = self;
        let role = Role::from(role);
        let client = ApiClient::from_options(&common.endpoint)?;
        let token = token::generate()?;
        let hash = Digest::of(token.as_bytes());
        let command = json!({"type": "create_principal", "name": name, "role": role, "token_hash": hash});
        // The same name and hash are the same principal, so a repeated request does no harm.
        let key = Some(format!("token-{}", hash.short()));
        let new = NewToken { name: &name, role, token: &token, json: common.json };
        match new.print() {
            Ok(PipeState::Open) => {}
            Ok(PipeState::Closed) => return Err(Error::NotPrinted(None)),
            Err(error) => return Err(Error::NotPrinted(Some(error))),
        }
        match client.send_commands(&CommandRequest { reason: None, now: false, commands: vec![command], key }).await {
            Ok(answer) => {
                output::warn(&answer.warnings);
                Ok(new.print_accepted(answer.position, client.url())?)
            }
            Err(source) => {
                // The refusal matters more than output that can't be written.
                let _unwritable = new.print_refused();
                Err(match source.is_refusal() {
                    true => Error::NotCreated { name, source },
                    false => Error::OutcomeUnknown { name, source },
                })
            }
        }
    }
}

impl NewToken<'_> {
    fn print(&self) -> Result<PipeState, StdoutError> {
        let Self { name, role, token, json } = self;
        match json {
            // The object ends when the position is known.
            true => {
                output::text(&format!("{{{},{},{}", member("name", name), member("role", role), member("token", token)))
            }
            false => output::text(&format!(
                "The token of {name} ({}), which is shown this once and kept nowhere:\n\n  {token}\n\n",
                role_name(*role)
            )),
        }
    }

    fn print_accepted(&self, position: Position, url: &ServerUrl) -> Result<(), StdoutError> {
        let Self { name, role, token, json } = self;
        match json {
            true => output::text(&format!(",{}}}\n", member("position", &position))),
            false => output::text(&format!(
                "{name} may use it as {} since position {position}, like this:\n\n  \
                 export HEADWATER_URL={url} HEADWATER_TOKEN={token}\n  \
                 curl -H \"Authorization: Bearer $HEADWATER_TOKEN\" $HEADWATER_URL/v1/fleet\n\n\
                 To revoke it: headwater token revoke {name}\n",
                role_name(*role)
            )),
        }?;
        Ok(())
    }

    fn print_refused(&self) -> Result<(), StdoutError> {
        if self.json {
            output::text(&format!(",{}}}\n", member("position", &Value::Null)))?;
        }
        Ok(())
    }
}

/// A member of a JSON object, as text.
fn member(name: &str, value: &impl Serialize) -> String {
    format!("\"{name}\":{}", to_json(value))
}

impl ListTokens {
    async fn run(self) -> Result<(), Error> {
        let principals: Vec<PrincipalView> =
            ApiClient::from_options(&self.common.endpoint)?.list(PRINCIPALS, &[]).await?;
        let principals: Vec<ListedToken> = principals.into_iter().map(ListedToken::from).collect();
        if self.common.json {
            output::json(&to_json(&principals))?;
            return Ok(());
        }
        let width = principals.iter().map(|principal| principal.name.as_str().len()).fold(4, usize::max);
        let mut text = format!("{:width$}  {:7}  {:7}  SINCE\n", "NAME", "ROLE", "TOKEN");
        for ListedToken { name, role, revoked, at } in &principals {
            let token = if *revoked { "revoked" } else { "good" };
            let (name, role) = (name.as_str(), role_name(*role));
            writeln!(text, "{name:width$}  {role:7}  {token:7}  {at}").expect("BUG: a String takes any text");
        }
        output::text(&text)?;
        Ok(())
    }
}

impl RevokeToken {
    async fn run(self) -> Result<(), Error> {
        let Self { name, common } = self;
        let command = json!({"type": "revoke_principal", "name": name});
        let request = CommandRequest { reason: None, now: false, commands: vec![command], key: None };
        let answer = ApiClient::from_options(&common.endpoint)?.send_commands(&request).await?;
        output::warn(&answer.warnings);
        let revoked = RevokedToken { name: &name, position: answer.position, changed: !answer.events.is_empty() };
        match (common.json, revoked.changed) {
            (true, _) => output::json(&to_json(&revoked)),
            (false, true) => {
                output::text(&format!("The token of {name} is revoked. Events that {name} caused stay in the log.\n"))
            }
            (false, false) => output::text(&format!("The token of {name} was revoked before.\n")),
        }?;
        Ok(())
    }
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Admin => Self::Admin,
            RoleName::Auditor => Self::Auditor,
        }
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Admin => "admin",
        Role::Auditor => "auditor",
    }
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("BUG: texts and numbers can be written as JSON")
}
