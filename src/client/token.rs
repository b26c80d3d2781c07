//! `headwater token`: who may speak to the door.
//!
//! Always: a token is made here and shown here, once; what travels to the door is its SHA-256, and only after the token was
//! written, so that nobody is let in whose token nobody saw.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use program::exit::ExitClass;
use program::output::{self, PipeState, StdoutError};
use program::token::{self, RandomnessError};
use schema::command::Role;
use schema::digest::Digest;
use schema::id::PrincipalName;
use schema::instant::Instant;
use schema::position::Position;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::door::{Door, Request};
use crate::error::Error as ClientError;
use crate::place::{DoorUrl, Options as Place};

/// What `headwater token --help` ends with.
pub const AFTER_HELP: &str = "\
A token lets one principal (a person, or a program with a name) in at the door. The log knows the SHA-256 of each token and \
never the token, so a lost one can't be found again: revoke it, and create another.\n\n\
The first administrator's token comes from `headwater install`; if it is lost and nobody else can revoke it, `headwater token reset` \
makes another, for who owns the database and has the signing key. With `headwater dev` it is in <dir>/secrets/admin.token:\n\n  \
export HEADWATER_URL=http://127.0.0.1:7300\n  \
export HEADWATER_TOKEN=\"$(cat .headwater/secrets/admin.token)\"\n  \
headwater token create --name grafana --role auditor";

/// What an administrator does about tokens.
#[derive(Clone, Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token for somebody new, and show it once
    Create(Create),
    /// Show who may enter, and who may no longer
    List(List),
    /// Let somebody in no longer; takes effect at once, and stays in the log
    Revoke(Revoke),
}

/// Makes a token for a new principal.
#[derive(Clone, Debug, Args)]
pub struct Create {
    /// Who it is for. Every event says by this name who caused it, so give each person and program one of its own.
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
pub struct List {
    #[command(flatten)]
    common: Common,
}

/// Revokes the token of a principal.
#[derive(Clone, Debug, Args)]
pub struct Revoke {
    /// Whose.
    name: PrincipalName,

    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Debug, Args)]
struct Common {
    #[command(flatten)]
    place: Place,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum RoleName {
    Admin,
    Auditor,
}

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The door said no, or was not there.
    #[error(transparent)]
    Door(#[from] ClientError),
    /// No token can be made.
    #[error(transparent)]
    RandomnessError(#[from] RandomnessError),
    /// Standard output can't be written; what was to be done is done.
    #[error(transparent)]
    Output(#[from] StdoutError),
    /// A new token can't be shown.
    #[error("nothing was sent to the door, because nobody could read the new token")]
    Unseen(#[source] Option<StdoutError>),
    /// The door would not have the token that is printed already.
    #[error("the token that was printed is worthless: {name} was not created with it")]
    Worthless {
        /// Whose it would have been.
        name: PrincipalName,
        /// Why not.
        source: ClientError,
    },
    /// Nobody knows what came of the token that is printed already.
    #[error("it is not known whether the token that was printed is good: `headwater token list` shows {name} if it is")]
    Unknown {
        /// Whose it would be.
        name: PrincipalName,
        /// What came instead of an answer.
        source: ClientError,
    },
}

impl Error {
    /// How it counts.
    #[must_use]
    pub fn exit_class(&self) -> ExitClass {
        match self {
            Self::Door(error) | Self::Unknown { source: error, .. } if error.is_unreachable() => ExitClass::Unreachable,
            Self::Output(_) | Self::Unseen(_) => ExitClass::Unreachable,
            _ => ExitClass::Refused,
        }
    }
}

/// A token, printed in two parts: itself before the door is asked, and the rest after.
struct New<'a> {
    name: &'a PrincipalName,
    role: Role,
    token: &'a str,
    json: bool,
}

/// What was taken back.
#[derive(Serialize)]
struct Revoked<'a> {
    name: &'a PrincipalName,
    position: Position,
    changed: bool,
}

/// A principal as the door shows it.
#[derive(Serialize, Deserialize)]
struct Principal {
    name: PrincipalName,
    role: Role,
    revoked: bool,
    at: Instant,
}

/// Does it.
///
/// # Errors
/// If the door refuses or can't be reached, or the output can't be written.
pub async fn run(command: TokenCommand) -> Result<(), Error> {
    match command {
        TokenCommand::Create(create) => create.run().await,
        TokenCommand::List(list) => list.run().await,
        TokenCommand::Revoke(revoke) => revoke.run().await,
    }
}

impl Create {
    async fn run(self) -> Result<(), Error> {
        let Self { name, role, common } = self;
        let role = Role::from(role);
        let door = Door::of(&common.place)?;
        let token = token::generate()?;
        let hash = Digest::of(token.as_bytes());
        let command = json!({"type": "create_principal", "name": name, "role": role, "token_hash": hash});
        // The same name and hash are the same principal, so it does no harm to say it again.
        let key = Some(format!("token-{}", hash.short()));
        let new = New { name: &name, role, token: &token, json: common.json };
        match new.show() {
            Ok(PipeState::Open) => {}
            Ok(PipeState::Closed) => return Err(Error::Unseen(None)),
            Err(error) => return Err(Error::Unseen(Some(error))),
        }
        match door.send(&Request { reason: None, commands: vec![command], key }).await {
            Ok(answer) => {
                output::warn(&answer.warnings);
                Ok(new.accepted(answer.position, door.url())?)
            }
            Err(source) => {
                // The refusal tells more than output that can't be written.
                let _unread = new.refused();
                Err(match source.is_refusal() {
                    true => Error::Worthless { name, source },
                    false => Error::Unknown { name, source },
                })
            }
        }
    }
}

impl New<'_> {
    fn show(&self) -> Result<PipeState, StdoutError> {
        let Self { name, role, token, json } = self;
        match json {
            // The object ends when the position is known.
            true => {
                output::text(&format!("{{{},{},{}", member("name", name), member("role", role), member("token", token)))
            }
            false => output::text(&format!(
                "The token of {name} ({}), which is shown this once and kept nowhere:\n\n  {token}\n\n",
                said(*role)
            )),
        }
    }

    fn accepted(&self, position: Position, url: &DoorUrl) -> Result<(), StdoutError> {
        let Self { name, role, token, json } = self;
        match json {
            true => output::text(&format!(",{}}}\n", member("position", &position))),
            false => output::text(&format!(
                "{name} may enter with it as {} since position {position}, and says it like this:\n\n  \
                 export HEADWATER_URL={url} HEADWATER_TOKEN={token}\n  \
                 curl -H \"Authorization: Bearer $HEADWATER_TOKEN\" $HEADWATER_URL/v1/fleet\n\n\
                 To take it back: headwater token revoke {name}\n",
                said(*role)
            )),
        }?;
        Ok(())
    }

    fn refused(&self) -> Result<(), StdoutError> {
        if self.json {
            output::text(&format!(",{}}}\n", member("position", &Value::Null)))?;
        }
        Ok(())
    }
}

/// A member of a JSON object.
fn member(name: &str, value: &impl Serialize) -> String {
    format!("\"{name}\":{}", written(value))
}

impl List {
    async fn run(self) -> Result<(), Error> {
        let principals: Vec<Principal> = Door::of(&self.common.place)?.list("/v1/principals", &[]).await?;
        if self.common.json {
            output::json(&written(&principals))?;
            return Ok(());
        }
        let width = principals.iter().map(|principal| principal.name.as_str().len()).fold(4, usize::max);
        let mut text = format!("{:width$}  {:7}  {:7}  SINCE\n", "NAME", "ROLE", "TOKEN");
        for Principal { name, role, revoked, at } in &principals {
            let token = if *revoked { "revoked" } else { "good" };
            let (name, role) = (name.as_str(), said(*role));
            writeln!(text, "{name:width$}  {role:7}  {token:7}  {at}").expect("BUG: a String takes any text");
        }
        output::text(&text)?;
        Ok(())
    }
}

impl Revoke {
    async fn run(self) -> Result<(), Error> {
        let Self { name, common } = self;
        let command = json!({"type": "revoke_principal", "name": name});
        let request = Request { reason: None, commands: vec![command], key: None };
        let answer = Door::of(&common.place)?.send(&request).await?;
        output::warn(&answer.warnings);
        let revoked = Revoked { name: &name, position: answer.position, changed: !answer.events.is_empty() };
        match (common.json, revoked.changed) {
            (true, _) => output::json(&written(&revoked)),
            (false, true) => {
                output::text(&format!("{name} may no longer enter. What it did stays in the log under its name.\n"))
            }
            (false, false) => output::text(&format!("{name} could not enter any more before this.\n")),
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

fn said(role: Role) -> &'static str {
    match role {
        Role::Admin => "admin",
        Role::Auditor => "auditor",
    }
}

fn written(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("BUG: texts and numbers can be written as JSON")
}
