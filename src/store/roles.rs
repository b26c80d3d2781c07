//! The three roles of a log: creating them, and the script for an administrator where the database's owner may not create them.
//!
//! Always: a missing right is detected before anything is written. Before PostgreSQL 16 only a superuser can grant REPLICATION to a role;
//! since 16 also a role with CREATEROLE and REPLICATION.

use schema::address::{APP_ROLE, READER_ROLE, RELAY_ROLE};
use tokio_postgres::Client;

use super::database::{Error, in_time};

/// The script that an administrator runs if the installing role owns the database and has no other right.
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

/// The roles that exist, and the rights of this session to create the others.
#[derive(Debug)]
pub(super) struct RoleRights {
    /// All of them are there.
    are_there: bool,
    /// The relay's role may replicate.
    replicates: bool,
    may_create: bool,
    may_let_replicate: bool,
    user: String,
}

impl RoleRights {
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

    /// An error if a role or right is missing and this session can't add it.
    pub(super) fn suffice(&self) -> Result<(), Error> {
        let may_not = |what: &str| Err(Error::MayNot { user: self.user.clone(), what: what.to_owned() });
        match (self.are_there || self.may_create, self.replicates || self.may_let_replicate) {
            (false, _) => may_not("create the roles headwater_app, headwater_relay and headwater_reader"),
            (true, false) => may_not("let role headwater_relay replicate"),
            (true, true) => Ok(()),
        }
    }

    /// Whether an administrator created the roles for an owner that may not.
    pub(super) fn are_given(&self) -> bool {
        self.are_there && !self.may_create
    }

    /// Grants REPLICATION to the relay's role, unless it has it.
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
