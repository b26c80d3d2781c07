//! Who may do what in PostgreSQL, and that installing again changes nothing.

use schema::address::{APP_ROLE, READER_ROLE, RELAY_ROLE};
use schema::seal::SecretKey;
use store::appender::Appender;
use store::database::{Database, Error};
use store::install::{Passwords, install};
use store::reader::Reader;
use store::roles;
use tokio_postgres::NoTls;
use wal::slot::Slot;

use crate::desk::{Desk, one, passwords, put};
use testkit::backends::TestBackends;

/// Statements that change history or what guards it.
const FORBIDDEN: [&str; 20] = [
    "UPDATE event SET actor = 'me'",
    "DELETE FROM event",
    "TRUNCATE event",
    "UPDATE blob SET bytes = ''",
    "DELETE FROM blob",
    "TRUNCATE blob",
    "UPDATE tree SET hash = hash",
    "DELETE FROM tree",
    "TRUNCATE tree",
    "UPDATE checkpoint SET note = note",
    "DELETE FROM checkpoint",
    "TRUNCATE checkpoint",
    "UPDATE receipt SET answer = '{}'",
    "DELETE FROM receipt",
    "TRUNCATE receipt",
    "UPDATE log_head SET log_id = gen_random_uuid()",
    "DELETE FROM log_head",
    "ALTER TABLE event DISABLE TRIGGER ALL",
    "DROP TABLE event",
    "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
];

async fn code_of(url: &str, statement: &str) -> String {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    match client.batch_execute(statement).await {
        Ok(()) => "done".to_owned(),
        Err(error) => error.code().map_or_else(|| error.to_string(), |code| code.code().to_owned()),
    }
}

#[tokio::test]
async fn history_is_out_of_every_roles_reach() {
    const PRIVILEGE: &str = "42501";
    let desk = Desk::new().await;
    let open = desk.open().await;
    open.submit_under(one(put("x", "x")), Some("k")).await.unwrap();
    let [app, relay, reader] = [APP_ROLE, RELAY_ROLE, READER_ROLE].map(|role| desk.backends.database_as(role));
    for statement in FORBIDDEN {
        for role in [&app, &relay, &reader] {
            assert_eq!(code_of(role, statement).await, PRIVILEGE, "{role}: {statement}");
        }
    }
    for role in [&relay, &reader] {
        for statement in [
            "INSERT INTO blob VALUES ('', '')",
            "INSERT INTO tree VALUES (8, 9, '')",
            "UPDATE log_head SET position = 0",
            "UPDATE log_head SET turn = turn + 1",
        ] {
            assert_eq!(code_of(role, statement).await, PRIVILEGE, "{role}: {statement}");
        }
    }
    assert_eq!(code_of(&reader, "SELECT FROM event, blob, log_head, tree, checkpoint").await, "done");
    assert_eq!(
        code_of(&reader, "SELECT FROM receipt").await,
        PRIVILEGE,
        "answers are between the server and its caller"
    );
    assert_eq!(code_of(&relay, "SELECT FROM event").await, "done");
    assert_eq!(code_of(&reader, "SELECT pg_create_logical_replication_slot('x', 'pgoutput')").await, PRIVILEGE);

    // An owner's slip of the hand is stopped too.
    let owner = desk.backends.database();
    for statement in &FORBIDDEN[..12] {
        assert_eq!(code_of(&owner, statement).await, PRIVILEGE, "the owner: {statement}");
    }
    assert_eq!(open.events().await.len(), 1);
}

#[tokio::test]
async fn an_owner_with_no_other_right_installs_once_an_administrator_made_the_roles() {
    let backends = TestBackends::start().await;
    let (administrator, key) = (backends.database(), SecretKey::from_seed(&[7; 32]).public());
    let done = async |statement: &str| assert_eq!(code_of(&administrator, statement).await, "done", "{statement}");
    done("CREATE ROLE owner LOGIN PASSWORD 'owner'; ALTER DATABASE headwater OWNER TO owner").await;
    let owner = backends.database_as("owner");
    let database = Database::parse(&owner).unwrap();
    let none = Passwords::default();
    // Neither alone nor with CREATEROLE, which is said before anything is written.
    for right in ["NOCREATEROLE", "CREATEROLE"] {
        done(&format!("ALTER ROLE owner {right}")).await;
        let refused = install(&database, &none, &key).await.unwrap_err();
        assert!(matches!(&refused, Error::MayNot { user, .. } if user == "owner"), "{refused}");
        assert!(refused.to_string().contains("--print-roles"), "{refused}");
        assert_eq!(code_of(&administrator, "SELECT FROM refinery_schema_history").await, "42P01", "{right}");
    }
    done("ALTER ROLE owner NOCREATEROLE").await;
    for _ in 0..2 {
        done(&roles::print()).await;
    }
    let log_id = install(&database, &none, &key).await.unwrap();
    assert_eq!(install(&database, &none, &key).await.unwrap(), log_id, "and again");
    let given = install(&database, &passwords(), &key).await.unwrap_err();
    assert!(matches!(&given, Error::MayNot { user, .. } if user == "owner"), "{given}");

    done(&format!("ALTER ROLE {RELAY_ROLE} PASSWORD '{RELAY_ROLE}'; ALTER ROLE {APP_ROLE} PASSWORD '{APP_ROLE}'"))
        .await;
    let reader = Reader::open(Database::parse(&backends.database_as(APP_ROLE)).unwrap()).await.unwrap();
    assert_eq!((reader.log_id(), reader.not_the_owner().await.unwrap().as_deref()), (log_id, Some(APP_ROLE)));
    Appender::start(reader).await.unwrap();
    let slot = |role| Slot::parse(&backends.database_as(role), None).unwrap();
    for role in ["owner", APP_ROLE] {
        let refused = slot(role).ensure().await.unwrap_err();
        assert!(matches!(&refused, wal::Error::MayNotReplicate { user, .. } if user == role), "{refused}");
        assert!(refused.to_string().contains("--replication-url"), "{refused}");
    }
    assert!(slot(RELAY_ROLE).ensure().await.unwrap(), "the relay makes its slot");
    for role in ["owner", APP_ROLE] {
        let refused = slot(role).take(log_id).await.map(drop).unwrap_err().to_string();
        assert!(refused.contains("--replication-url"), "the slot is there, and the role may not follow it: {refused}");
    }
}

#[tokio::test]
async fn installing_again_changes_nothing() {
    const EVERYTHING: &str = "SELECT string_agg(line, E'\\n' ORDER BY line) FROM ( \
        SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default) AS line \
            FROM information_schema.columns WHERE table_schema = 'public' \
        UNION ALL SELECT concat_ws(' ', grantee, table_name, privilege_type) FROM information_schema.role_table_grants \
            WHERE table_schema = 'public' \
        UNION ALL SELECT concat_ws(' ', tgname, tgenabled) FROM pg_trigger \
        UNION ALL SELECT concat_ws(' ', rolname, rolcanlogin, rolreplication, rolsuper, rolcreaterole) FROM pg_roles \
        UNION ALL SELECT concat_ws(' ', pubname, pubinsert, pubupdate, pubdelete, pubtruncate) FROM pg_publication \
        UNION ALL SELECT concat_ws(' ', log_id, position, at, public_key, root) FROM log_head \
        UNION ALL SELECT concat_ws(' ', version, name, applied_on, checksum) FROM refinery_schema_history) AS all_of_it";
    let desk = Desk::new().await;
    let open = desk.open().await;
    open.submit(one(put("x", "x"))).await.unwrap();
    let before = desk.ask(EVERYTHING).await;
    assert!(before.lines().count() > 30, "{before}");

    let database = Database::parse(&desk.backends.database()).unwrap();
    // Also by two at once.
    let (passwords, key) = (passwords(), desk.key.public());
    let (left, right) = tokio::join!(install(&database, &passwords, &key), install(&database, &passwords, &key));
    assert_eq!((left.unwrap(), right.unwrap()), (desk.log_id, desk.log_id));
    assert_eq!(desk.ask(EVERYTHING).await, before);

    let other = install(&database, &passwords, &SecretKey::from_seed(&[8; 32]).public()).await;
    assert!(matches!(other, Err(Error::OtherKey { .. })), "{other:?}");
    assert_eq!(desk.ask(EVERYTHING).await, before);
}

#[tokio::test]
async fn what_an_older_version_installed_is_told_apart_and_brought_up_to_date() {
    let desk = Desk::new().await;
    desk.sql("ALTER TABLE log_head DROP COLUMN turn; DELETE FROM refinery_schema_history WHERE version > 10").await;
    let reader = Reader::open(Database::parse(&desk.backends.database_as(APP_ROLE)).unwrap()).await.unwrap();
    let started = Appender::start(reader.clone()).await.map(drop);
    assert!(matches!(&started, Err(Error::NotInstalled)), "{started:?}");
    let database = Database::parse(&desk.backends.database()).unwrap();
    assert_eq!(install(&database, &passwords(), &desk.key.public()).await.unwrap(), desk.log_id);
    let (_, log) = Appender::start(reader).await.unwrap();
    assert_eq!(log.log_id(), desk.log_id);
}
