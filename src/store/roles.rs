//! The three roles of a log: who makes them, and what an administrator of PostgreSQL is asked for where the database's owner may not.
//!
//! What always holds: what the owner may not do is found before anything is written. Only a superuser lets a role replicate before
//! PostgreSQL 16; from 16 on also who may create roles and replicate.

use schema::address::{APP_ROLE, READER_ROLE, RELAY_ROLE};
use tokio_postgres::Client;

use super::database::{Error, in_time};

/// What an administrator runs before somebody installs who owns the database and nothing more.
#[must_use]
pub fn print() -> String {
    let made = [(APP_ROLE, "LOGIN"), (RELAY_ROLE, "LOGIN REPLICATION"), (READER_ROLE, "LOGIN")].map(|(role, may)| {
        format!(
            "DO $$ BEGIN\n    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN\n        CREATE ROLE {role};\n    \
             END IF;\nEND $$;\nALTER ROLE {role} {may};\n"
        )
    });
    format!(
        "-- The roles of Headwater's logs in this cluster. Run this as an administrator (superuser) of PostgreSQL, in any of its\n\
         -- databases; running it again changes nothing. Whoever owns a database can then run `headwater install` on it, without a\n\
         -- --…-password-file and with no other right.\n\
         {}\
         -- They log in as pg_hba.conf says. For passwords, in psql:\n\
         --   \\password {APP_ROLE}\n\
         --   \\password {RELAY_ROLE}\n\
         --   \\password {READER_ROLE}\n\
         -- And a database for a log, for somebody who owns nothing yet:\n\
         --   CREATE ROLE somebody LOGIN; CREATE DATABASE headwater OWNER somebody;\n",
        made.concat()
    )
}

/// What there is of the roles, and what this session may do about it.
#[derive(Debug)]
pub(super) struct Roles {
    /// All of them are there.
    are_there: bool,
    /// The relay's role may replicate.
    replicates: bool,
    may_create: bool,
    may_let_replicate: bool,
    user: String,
}

impl Roles {
    pub(super) async fn read(client: &Client) -> Result<Self, Error> {
        let query = "SELECT (SELECT count(*) FROM pg_roles WHERE rolname = ANY($1)) = 3, \
                            coalesce((SELECT rolreplication FROM pg_roles WHERE rolname = $2), false), \
                            rolsuper OR rolcreaterole, \
                            rolsuper OR (rolcreaterole AND rolreplication AND current_setting('server_version_num')::int >= 160000), \
                            rolname::text \
                     FROM pg_roles WHERE rolname = current_user";
        let row =
            in_time(client.query_one(query, &[&[APP_ROLE, RELAY_ROLE, READER_ROLE].as_slice(), &RELAY_ROLE])).await?;
        Ok(Self {
            are_there: row.get(0),
            replicates: row.get(1),
            may_create: row.get(2),
            may_let_replicate: row.get(3),
            user: row.get(4),
        })
    }

    /// Whether all that is missing can be made.
    pub(super) fn suffice(&self) -> Result<(), Error> {
        let may_not = |what: &str| Err(Error::MayNot { user: self.user.clone(), what: what.to_owned() });
        match (self.are_there || self.may_create, self.replicates || self.may_let_replicate) {
            (false, _) => may_not("create the roles headwater_app, headwater_relay and headwater_reader"),
            (true, false) => may_not("let role headwater_relay replicate"),
            (true, true) => Ok(()),
        }
    }

    /// Whether somebody else made them, for an owner who could not.
    pub(super) fn are_given(&self) -> bool {
        self.are_there && !self.may_create
    }

    /// Lets the relay's role replicate, unless it may.
    pub(super) async fn let_replicate(&self, client: &Client) -> Result<(), Error> {
        if self.replicates {
            return Ok(());
        }
        in_time(client.batch_execute(&format!("ALTER ROLE {RELAY_ROLE} REPLICATION"))).await
    }

    /// Lets a role log in with a password. Utility statements take no parameters, so the server itself quotes it.
    pub(super) async fn let_in(&self, client: &Client, role: &str, password: &str) -> Result<(), Error> {
        let quoting = "SELECT format('ALTER ROLE %I LOGIN PASSWORD %L', $1::text, $2::text)";
        let row = in_time(client.query_one(quoting, &[&role, &password])).await?;
        let altered = in_time(client.batch_execute(row.get(0))).await;
        altered.map_err(|error| match error.is_forbidden() {
            true => Error::MayNot { user: self.user.clone(), what: format!("set the password of role {role}") },
            false => error,
        })
    }
}
