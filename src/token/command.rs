//! `headwater token`: who may speak to the door.
//!
//! Always: a token is made here and shown here, once; what travels to the door is its SHA-256.

use std::fmt::Write as _;
use std::io::Write as _;

use clap::{Args, Subcommand};
use schema::command::Role;
use schema::digest::Digest;
use schema::id::PrincipalName;
use schema::instant::Instant;
use schema::position::Position;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::client::door::{Door, Request};
use crate::client::error::Error as ClientError;
use crate::client::place::Options as Place;
use crate::token::{self, NoRandomness};

/// What to do about tokens.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
A token lets one principal (a person, or a program with a name) in at the door. The log knows the SHA-256 of each token and \
never the token, so a lost one can't be found again: revoke it, and create another.\n\n\
The first administrator's token comes from `headwater install`; with `headwater dev` it is in <dir>/secrets/admin.token:\n\n  \
export HEADWATER_URL=http://127.0.0.1:8080 HEADWATER_TOKEN=\"$(cat .headwater/secrets/admin.token)\"\n  \
headwater token create --name grafana --role auditor")]
pub struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// Make a token for somebody new, and show it once
    Create(Create),
    /// Show who may enter, and who may no longer
    List(List),
    /// Let somebody in no longer; takes effect at once, and stays in the log
    Revoke(Revoke),
}

#[derive(Clone, Debug, Args)]
struct Create {
    /// Who it is for. Every event says by this name who caused it, so give each person and program one of its own.
    #[arg(long)]
    name: PrincipalName,

    /// What it may do: an auditor reads, an admin does everything.
    #[arg(long)]
    role: RoleName,

    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Debug, Args)]
struct List {
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Debug, Args)]
struct Revoke {
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
    NoRandomness(#[from] NoRandomness),
}

impl Error {
    /// Whether something could not be reached, rather than being refused.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Door(error) if error.is_unreachable())
    }
}

/// What was made.
#[derive(Serialize)]
struct Created<'a> {
    name: &'a PrincipalName,
    role: Role,
    position: Position,
    token: &'a str,
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
/// If the door refuses or can't be reached.
pub async fn run(options: Options) -> Result<(), Error> {
    let text = match options.action {
        Action::Create(create) => create.run().await,
        Action::List(list) => list.run().await,
        Action::Revoke(revoke) => revoke.run().await,
    }?;
    // Whoever has closed our output does not want it.
    let _unread = std::io::stdout().write_all(text.as_bytes());
    Ok(())
}

impl Create {
    async fn run(self) -> Result<String, Error> {
        let Self { name, role, common } = self;
        let role = Role::from(role);
        let door = Door::of(&common.place)?;
        let token = token::make()?;
        let hash = Digest::of(token.as_bytes());
        let command = json!({"type": "create_principal", "name": name, "role": role, "token_hash": hash});
        // The same name and hash are the same principal, so it does no harm to say it again.
        let key = Some(format!("token-{}", hash.short()));
        let answer = door.send(&Request { reason: None, commands: vec![command], key }).await?;
        let created = Created { name: &name, role, position: answer.position, token: &token };
        Ok(if common.json { line(&created) } else { created.to_text(&common.place) })
    }
}

impl Created<'_> {
    fn to_text(&self, place: &Place) -> String {
        let Self { name, role, token, .. } = self;
        let (role, url) = (said(*role), &place.url);
        format!(
            "{name} may enter as {role} with this token, which is shown this once and kept nowhere:\n\n  {token}\n\n\
             Whoever it is for says it like this:\n\n  \
             export HEADWATER_URL={url} HEADWATER_TOKEN={token}\n  \
             curl -H \"Authorization: Bearer $HEADWATER_TOKEN\" $HEADWATER_URL/v1/fleet\n\n\
             To take it back: headwater token revoke {name}\n"
        )
    }
}

impl List {
    async fn run(self) -> Result<String, Error> {
        let principals: Vec<Principal> = Door::of(&self.common.place)?.list("/v1/principals").await?;
        if self.common.json {
            return Ok(line(&principals));
        }
        let width = principals.iter().map(|principal| principal.name.as_str().len()).fold(4, usize::max);
        let mut text = format!("{:width$}  {:7}  {:7}  SINCE\n", "NAME", "ROLE", "TOKEN");
        for Principal { name, role, revoked, at } in &principals {
            let token = if *revoked { "revoked" } else { "good" };
            let (name, role) = (name.as_str(), said(*role));
            writeln!(text, "{name:width$}  {role:7}  {token:7}  {at}").expect("BUG: a String takes any text");
        }
        Ok(text)
    }
}

impl Revoke {
    async fn run(self) -> Result<String, Error> {
        let Self { name, common } = self;
        let command = json!({"type": "revoke_principal", "name": name});
        let request = Request { reason: None, commands: vec![command], key: None };
        let answer = Door::of(&common.place)?.send(&request).await?;
        let revoked = Revoked { name: &name, position: answer.position, changed: !answer.events.is_empty() };
        Ok(match (common.json, revoked.changed) {
            (true, _) => line(&revoked),
            (false, true) => format!("{name} may no longer enter. What it did stays in the log under its name.\n"),
            (false, false) => format!("{name} could not enter any more before this.\n"),
        })
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

fn line(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).expect("BUG: texts and numbers can be written as JSON");
    format!("{text}\n")
}
