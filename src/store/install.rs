//! Installing a log: schema, roles and the head row. Installing again changes nothing.

use std::collections::BTreeMap;

use refinery::Target;
use replay::tree::{Frontier, TreeNode};
use schema::address::{APP_ROLE, PUBLICATION, READER_ROLE, RELAY_ROLE};
use schema::digest::Digest;
use schema::id::LogId;
use schema::position::Position;
use schema::seal::PublicKey;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::database::{Database, Error, in_time};
use super::reader::head;
use super::roles::RoleRights;
use super::rows;
use super::tree::{self, Growth};

mod migrations {
    refinery::embed_migrations!("../../schema/sql");
}

/// Keeps two installs of one database apart. The number is arbitrary and belongs to Headwater.
const INSTALL_LOCK: i64 = 0x4865_6164_7761_7465;

/// Leaves that are read together while an older log gets its tree.
const PAGE_LEAVES: i64 = 10_000;

/// The passwords of the roles. A role without one is left unchanged, for logins with certificates or peer.
#[derive(Clone, Default)]
pub struct Passwords {
    /// Of the role that appends.
    pub app: Option<String>,
    /// Of the role that holds the slot.
    pub relay: Option<String>,
    /// Of the role that only reads.
    pub reader: Option<String>,
}

/// Installs a log as the database's owner, creates missing roles, and gives the log's id.
///
/// # Errors
/// If PostgreSQL refuses, or the log was installed with another key.
pub async fn install(database: &Database, passwords: &Passwords, key: &PublicKey) -> Result<LogId, Error> {
    let mut client = database.connect("install").await?;
    in_time(client.execute("SELECT pg_advisory_lock($1)", &[&INSTALL_LOCK])).await?;
    let roles = RoleRights::read(&client).await?;
    roles.suffice()?;
    migrate(&mut client, &roles).await?;
    roles.let_replicate(&client).await?;
    for (role, password) in
        [(APP_ROLE, &passwords.app), (RELAY_ROLE, &passwords.relay), (READER_ROLE, &passwords.reader)]
    {
        if let Some(password) = password {
            roles.let_in(&client, role, password).await?;
        }
    }
    let log_id = make_head(&client, key).await?;
    grow_tree(&client).await?;
    Ok(log_id)
    // The advisory lock ends with the session.
}

/// Creates the publication of the schema, in place of a missing or altered one.
///
/// # Errors
/// If PostgreSQL refuses: whoever does not own the publication can't replace it.
pub async fn publish_anew(database: &Database) -> Result<(), Error> {
    let client = database.connect("install").await?;
    // Several statements in one message are one transaction, so there is always a publication.
    let anew =
        format!("DROP PUBLICATION IF EXISTS {PUBLICATION}; {}", include_str!("../../schema/sql/V08__publication.sql"));
    in_time(client.batch_execute(&anew)).await
}

/// The migration that creates the roles. A session that may not create roles skips it if they exist.
const MAKES_ROLES: i32 = 6;

async fn migrate(client: &mut Client, roles: &RoleRights) -> Result<(), Error> {
    let failed = |error: refinery::Error| Error::Migration(error.to_string());
    if roles.are_given() && last_migration(client).await? < MAKES_ROLES {
        for target in [Target::Version(MAKES_ROLES - 1), Target::FakeVersion(MAKES_ROLES)] {
            migrations::migrations::runner().set_target(target).run_async(client).await.map_err(failed)?;
        }
    }
    migrations::migrations::runner().run_async(client).await.map_err(failed).map(drop)
}

async fn last_migration(client: &Client) -> Result<i32, Error> {
    let there = in_time(client.query_one("SELECT to_regclass('refinery_schema_history') IS NOT NULL", &[])).await?;
    if !there.get::<_, bool>(0) {
        return Ok(0);
    }
    let last = in_time(client.query_one("SELECT coalesce(max(version), 0) FROM refinery_schema_history", &[])).await?;
    Ok(last.get(0))
}

async fn make_head(client: &Client, key: &PublicKey) -> Result<LogId, Error> {
    let insert = "INSERT INTO log_head (log_id, public_key) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    in_time(client.execute(insert, &[&Uuid::now_v7(), &key.as_bytes().as_slice()])).await?;
    let head = head(client, "").await?;
    if head.public_key != *key {
        let installed = hex::encode(head.public_key.as_bytes());
        return Err(Error::OtherKey { installed, given: hex::encode(key.as_bytes()) });
    }
    Ok(head.log_id)
}

/// Grows a tree that does not reach the head, while the head row is locked: the log is older than the tree, or a program that is older
/// than the tree appended beside others. A tree that is not the tree of the events up to its end is left unchanged: a server has to report
/// that, and an installation must not hide it.
async fn grow_tree(client: &Client) -> Result<(), Error> {
    in_time(client.batch_execute("BEGIN")).await?;
    let head = head(client, "FOR UPDATE").await?;
    let mut growth = Growth::from(Frontier::default());
    let mut is_known = head.root == growth.frontier().root();
    let mut nodes = kept(client).await?;
    while growth.frontier().size() < head.position {
        is_known |= push_page(client, &mut growth, head.position, head.root).await?;
        // A node that is stored already is not stored again.
        growth.retain_nodes(|node, hash| match nodes.get(&node) == Some(&hash) {
            true => nodes.remove(&node).is_none(),
            false => true,
        });
    }
    let root = growth.frontier().root();
    if is_known && nodes.is_empty() && root != head.root {
        tracing::info!(position = %head.position, "the tree is grown up to the head of the log");
        in_time(client.execute(&tree::insert(1, ""), &tree::NodeColumns::of(growth.nodes()).parameters())).await?;
        in_time(client.execute("UPDATE log_head SET root = $1", &[&root.as_bytes().as_slice()])).await?;
    }
    in_time(client.batch_execute("COMMIT")).await
}

/// The nodes of the tree that are kept.
async fn kept(client: &Client) -> Result<BTreeMap<TreeNode, Digest>, Error> {
    let rows = in_time(client.query("SELECT level, index, hash FROM tree", &[])).await?;
    let kept = |row: &Row| {
        let level = row.get::<_, i16>(0).try_into().unwrap_or_default();
        Some((TreeNode { level, index: rows::unsigned(row.get(1)) }, Digest::try_from(row.get::<_, &[u8]>(2)).ok()?))
    };
    Ok(rows.iter().filter_map(kept).collect())
}

/// Adds the leaves of a page; true if the tree had this root after any of them.
async fn push_page(client: &Client, growth: &mut Growth, up_to: Position, root: Digest) -> Result<bool, Error> {
    let query = "SELECT position, leaf FROM event WHERE position > $1 AND position <= $2 ORDER BY position LIMIT $3";
    let after = growth.frontier().size();
    let (from, to) = (rows::signed(after.get()), rows::signed(up_to.get()));
    let page = in_time(client.query(query, &[&from, &to, &PAGE_LEAVES])).await?;
    let mut is_known = false;
    for row in &page {
        let position = growth.frontier().size().next();
        let missing = |why: &str| Error::Row { position, why: why.into() };
        if rows::unsigned(row.get(0)) != position.get() {
            return Err(missing("it is not there"));
        }
        growth.push(Digest::try_from(row.get::<_, &[u8]>(1)).map_err(|_| missing("its leaf is no digest"))?);
        is_known |= growth.frontier().root() == root;
    }
    if page.is_empty() {
        Err(Error::Row { position: after.next(), why: "it is not there".into() })
    } else {
        Ok(is_known)
    }
}
