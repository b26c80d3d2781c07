//! What anybody does to the tables behind Headwater's back is in the export, and found there by the auditor's program.

use std::path::Path;

use replay::checkpoint::Checkpoint;
use replay::tree::Frontier;
use schema::address::READER_ROLE;
use serde_json::{Value, json};

use crate::SOON;
use crate::desk::{Desk, Open, enrol, one, put, retry};
use testkit::auditor::{export, exported, replay};
use testkit::eventually::eventually;

/// Lets the superuser do what no role of Headwater's may.
const UNGUARDED: &str = "SET session_replication_role = replica;";

/// Eight events, of which the fifth to the seventh are one request, and a checkpoint over all of them.
async fn signed(desk: &Desk) -> Open {
    let open = eight(desk).await;
    sign(desk, &open).await;
    open
}

async fn eight(desk: &Desk) -> Open {
    let open = desk.open().await;
    open.submit(one(enrol("a"))).await.unwrap();
    open.submit(one(enrol("b"))).await.unwrap();
    open.submit(json!({"reason": "two", "commands": [put("motd", "hello\n"), put("large", &"x".repeat(9_000))]}))
        .await
        .unwrap();
    open.submit(json!({"commands": [retry("a"), retry("b"), retry("a")]})).await.unwrap();
    open.submit(one(retry("b"))).await.unwrap();
    open
}

/// Keeps a checkpoint over all there is.
async fn sign(desk: &Desk, open: &Open) {
    let events = open.events().await;
    let position = events.last().unwrap().position;
    let root = Frontier::over(events.iter().map(|event| event.leaf)).root();
    let checkpoint = Checkpoint { log_id: desk.log_id, position, root };
    open.log.reader().keep_checkpoint(position, &checkpoint.sign(&desk.key)).await.unwrap();
}

impl Desk {
    fn dir(&self) -> &Path {
        self.backends.dir.path()
    }

    fn reader(&self) -> String {
        self.backends.database_as(READER_ROLE)
    }

    /// What the auditor finds in an export of the log as it is now.
    fn found(&self) -> Value {
        let key = hex::encode(self.key.public().as_bytes());
        let _gone = std::fs::remove_file(self.dir().join("found.hwlog"));
        exported(self.dir(), &self.reader(), &["--to", "found.hwlog"]);
        let (code, said) = replay(self.dir(), &["verify", "found.hwlog", "--trust", &key]);
        assert_eq!(code == Some(0), said["ok"] == true, "{said}");
        said
    }
}

#[tokio::test]
async fn whatever_a_superuser_changes_is_found_and_named() {
    let desk = Desk::new().await;
    let open = signed(&desk).await;
    let right = desk.found();
    assert_eq!((&right["ok"], &right["signed"], &right["unsigned"]), (&json!(true), &json!(8), &json!(0)), "{right}");
    desk.sql(
        "CREATE TABLE kept AS TABLE event; CREATE TABLE kept_blob AS TABLE blob; \
         CREATE TABLE kept_checkpoint AS TABLE checkpoint",
    )
    .await;
    let mut sealed = open.events().await[3].clone();
    sealed.reason = Some("forged".into());
    let leaf = sealed.sealed().leaf;
    let resealed = format!("UPDATE event SET reason = 'forged', leaf = '\\x{leaf}' WHERE position = 4");
    let another = "INSERT INTO event SELECT 9, gen_random_uuid(), gen_random_uuid(), 1, 1, entity, version + 1, type, v, \
                   actor, reason, at, data, leaf FROM event WHERE position = 8";
    let exchanged = "UPDATE event SET position = 100 WHERE position = 4; UPDATE event SET position = 4 WHERE position = 5; \
                     UPDATE event SET position = 5 WHERE position = 100";
    for (what, statements, position, code) in [
        ("a reason", "UPDATE event SET reason = 'x' WHERE position = 4", 4, "leaf"),
        ("a space", "UPDATE event SET data = (data::text || ' ')::json WHERE position = 2", 2, "leaf"),
        ("what can't be read", "UPDATE event SET entity = 'mars' WHERE position = 3", 3, "row"),
        ("a kind that nobody knows", "UPDATE event SET entity = 'planet/mars' WHERE position = 3", 3, "leaf"),
        ("a row gone", "DELETE FROM event WHERE position = 4", 4, "gap"),
        ("the last row gone", "DELETE FROM event WHERE position = 8", 8, "end"),
        ("a row more", another, 9, "end"),
        ("two rows exchanged", exchanged, 4, "leaf"),
        ("a row that is sealed again", &resealed, 1, "root"),
        ("a content", "UPDATE blob SET bytes = '\\x00' WHERE length(bytes) = 6", 1, "blob"),
        ("a content gone", "DELETE FROM blob WHERE length(bytes) = 6", 3, "blob"),
        ("a checkpoint", "UPDATE checkpoint SET note = replace(note, '8', '7')", 1, "checkpoint"),
        ("all checkpoints gone", "DELETE FROM checkpoint", 1, "unsigned"),
    ] {
        desk.sql(&format!("{UNGUARDED} {statements}")).await;
        let finding = &desk.found()["finding"];
        assert_eq!((&finding["position"], &finding["code"]), (&json!(position), &json!(code)), "{what}: {finding}");
        desk.sql(&format!(
            "{UNGUARDED} DELETE FROM event; INSERT INTO event SELECT * FROM kept; DELETE FROM blob; \
             INSERT INTO blob SELECT * FROM kept_blob; DELETE FROM checkpoint; \
             INSERT INTO checkpoint SELECT * FROM kept_checkpoint"
        ))
        .await;
    }
    assert_eq!(desk.found()["ok"], true, "all of it was put back");
}

#[tokio::test]
async fn parts_follow_each_other_and_a_request_is_never_cut() {
    let desk = Desk::new().await;
    let reader = desk.reader();
    let empty = exported(desk.dir(), &reader, &["--to", "empty.hwlog"]);
    assert_eq!((&empty["from"], &empty["to"]), (&json!(1), &json!(0)));
    assert_eq!(replay(desk.dir(), &["verify", "empty.hwlog"]).1["position"], 0);
    let _open = signed(&desk).await;
    let first = exported(desk.dir(), &reader, &["--to", "a.hwlog", "--to-position", "5"]);
    assert_eq!(first["to"], 7, "the rest of the request comes along");
    let second = exported(desk.dir(), &reader, &["--to", "b.hwlog", "--from", "8"]);
    assert_eq!((&second["from"], &second["to"]), (&json!(8), &json!(8)));
    let key = hex::encode(desk.key.public().as_bytes());
    let (code, said) = replay(desk.dir(), &["verify", "a.hwlog", "b.hwlog", "--trust", &key]);
    assert_eq!((code, &said["position"], &said["signed"]), (Some(0), &json!(8), &json!(8)), "{said}");
    for (words, what) in [
        (["--to", "c.hwlog", "--from", "6"], "within a request that begins at 5"),
        (["--to", "c.hwlog", "--from", "9"], "ends at 8"),
        (["--to", "c.hwlog", "--to-position", "9"], "ends at 8"),
        (["--to", "a.hwlog", "--from", "8"], "is there already"),
    ] {
        let output = export(desk.dir(), &reader, &words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(what), "{said}");
    }
    let files = std::fs::read_dir(desk.dir()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<String> = files.filter(|name| name.contains("hwlog")).collect();
    files.sort_unstable();
    assert_eq!(files, ["a.hwlog", "b.hwlog", "empty.hwlog"], "nothing half done is left behind");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_headwater"));
    program.args(["export", "--to", "told.hwlog"]).env("HEADWATER_DATABASE_URL", desk.reader()).current_dir(desk.dir());
    let unwritten = program.stdout(full).output().unwrap();
    assert_eq!(unwritten.status.code(), Some(3), "the file is there, and nobody was told its digest");
    assert!(desk.dir().join("told.hwlog").exists());
}

/// What was signed while an export waited is about more events than there were when it began.
#[tokio::test]
async fn an_export_of_a_log_that_grows_ends_where_it_is_signed() {
    let desk = Desk::new().await;
    let open = eight(&desk).await;
    let (dir, reader) = (desk.dir().to_owned(), desk.reader());
    let waiting = tokio::task::spawn_blocking(move || exported(&dir, &reader, &["--to", "grown.hwlog"]));
    let asking = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = '{READER_ROLE}' AND query LIKE '%FROM checkpoint%'"
    );
    eventually("the export has read where the log ends and asks who signed it", SOON, async || {
        let count = desk.ask(&asking).await;
        if count == "1" { Ok(()) } else { Err(count) }
    })
    .await;
    open.submit(one(retry("a"))).await.unwrap();
    sign(&desk, &open).await;
    open.submit(one(retry("a"))).await.unwrap();
    assert_eq!(
        waiting.await.unwrap()["to"],
        9,
        "no longer 8, which nobody signed, and not 10, which nobody did either"
    );
    let key = hex::encode(desk.key.public().as_bytes());
    let (code, said) = replay(desk.dir(), &["verify", "grown.hwlog", "--trust", &key]);
    assert_eq!((code, &said["unsigned"]), (Some(0), &json!(0)), "{said}");
}
