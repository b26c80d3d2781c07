//! The tree grows with the log, whoever appends, and answers for it.

use futures::future::join_all;
use replay::tree::{Frontier, TreeNode, TreeQuery, check_consistency, check_inclusion};
use schema::digest::Digest;
use schema::position::Position;
use serde_json::json;
use store::database::Database;
use store::install::install;
use store::log::SubmitError;
use tlog_tiles::tlog;

use crate::desk::{Desk, Open, enrol, one, passwords, retry};

/// The tree as the database has it: its root, and what is kept below.
async fn stored(desk: &Desk) -> (String, String) {
    let nodes = "SELECT string_agg(level || '/' || index || ' ' || encode(hash, 'hex'), E'\\n' ORDER BY level, index) FROM tree";
    (desk.ask("SELECT encode(root, 'hex') FROM log_head").await, desk.ask(nodes).await)
}

/// The same from the leaves alone.
fn grown(leaves: &[Digest]) -> (String, String) {
    let (mut frontier, mut kept) = (Frontier::default(), Vec::new());
    for leaf in leaves {
        frontier.push_with(*leaf, |TreeNode { level, index }, hash| {
            if level > 0 && level % 8 == 0 {
                kept.push((level, index, hash));
            }
        });
    }
    kept.sort_unstable();
    let lines: Vec<String> = kept.iter().map(|(level, index, hash)| format!("{level}/{index} {hash}")).collect();
    (frontier.root().to_string(), lines.join("\n"))
}

async fn leaves(open: &Open) -> Vec<Digest> {
    open.events().await.iter().map(|event| event.leaf).collect()
}

/// A log of so many events, in requests of at most 1,000.
async fn fill(open: &Open, events: usize) {
    open.submit(one(enrol("a"))).await.unwrap();
    for commands in vec![retry("a"); events - 1].chunks(1_000) {
        open.submit(json!({"commands": commands})).await.unwrap();
    }
}

#[tokio::test]
async fn the_tree_is_that_of_the_leaves_however_many_append() {
    let desk = Desk::new().await;
    assert_eq!(stored(&desk).await, grown(&[]), "of an empty log");
    let (left, right) = (desk.open().await, desk.open().await);
    left.submit(one(enrol("a"))).await.unwrap();
    // Many requests of odd sizes, from two writers: a subtree is completed in the middle of a batch by either.
    let calls = (1..120_usize).map(|number| {
        let open = if number % 2 == 0 { &left } else { &right };
        open.submit(json!({"commands": vec![retry("a"); number % 17 + 1]}))
    });
    join_all(calls).await.into_iter().for_each(|answer| drop(answer.unwrap()));
    let leaves = leaves(&left).await;
    assert!(leaves.len() > 1_000);
    assert_eq!(stored(&desk).await, grown(&leaves));
    assert_eq!(desk.ask("SELECT count(*) FROM tree").await, (leaves.len() / 256).to_string());
    let again = desk.open().await;
    again.submit(one(retry("a"))).await.unwrap();
    assert_eq!(stored(&desk).await.0, grown(&self::leaves(&again).await).0, "another process goes on with it");
}

#[tokio::test]
async fn a_log_that_is_older_than_its_tree_gets_one() {
    let desk = Desk::new().await;
    let open = desk.open().await;
    fill(&open, 600).await;
    let grown = grown(&leaves(&open).await);
    drop(open);
    // As the version before left it.
    desk.sql(
        "ALTER TABLE tree DISABLE TRIGGER ALL; DELETE FROM tree; ALTER TABLE tree ENABLE TRIGGER ALL; \
         UPDATE log_head SET root = DEFAULT",
    )
    .await;
    let open = desk.open().await;
    let refused = open.submit(one(retry("a"))).await;
    assert!(matches!(&refused, Err(SubmitError::Unavailable(why)) if why.contains("600")), "{refused:?}");
    install(&Database::parse(&desk.backends.database()).unwrap(), &passwords(), &desk.key.public()).await.unwrap();
    assert_eq!(stored(&desk).await, grown);
    open.submit(one(retry("a"))).await.unwrap();
    assert_eq!(open.events().await.len(), 601);

    // What has a tree keeps it, whatever it says.
    desk.sql("UPDATE log_head SET root = sha256('x')").await;
    install(&Database::parse(&desk.backends.database()).unwrap(), &passwords(), &desk.key.public()).await.unwrap();
    assert_eq!(stored(&desk).await.0, Digest::of(b"x").to_string());
}

/// As an older program leaves it that appended everything behind a position and knows of no tree.
async fn forget(desk: &Desk, leaves: &[Digest]) {
    let root = Frontier::over(leaves.iter().copied()).root();
    desk.sql(&format!(
        "SET session_replication_role = replica; DELETE FROM tree WHERE (index + 1) << level > {}; \
         UPDATE log_head SET root = '\\x{root}'",
        leaves.len()
    ))
    .await;
}

#[tokio::test]
async fn a_tree_that_an_older_program_left_behind_is_grown_to_the_head() {
    let desk = Desk::new().await;
    let open = desk.open().await;
    fill(&open, 1_100).await;
    let leaves = leaves(&open).await;
    let database = Database::parse(&desk.backends.database()).unwrap();
    let whole = grown(&leaves);
    for behind in [300, 512, 1_099] {
        forget(&desk, &leaves[..behind]).await;
        let refused = open.submit(one(retry("a"))).await;
        assert!(matches!(&refused, Err(SubmitError::Unavailable(why)) if why.contains("install")), "{refused:?}");
        install(&database, &passwords(), &desk.key.public()).await.unwrap();
        assert_eq!(stored(&desk).await, whole, "{behind}");
    }
    open.submit(one(retry("a"))).await.unwrap();
    let whole = grown(&self::leaves(&open).await);
    assert_eq!(stored(&desk).await, whole);

    // What was not grown from these events is for somebody to look at.
    forget(&desk, &leaves[..300]).await;
    desk.sql("SET session_replication_role = replica; UPDATE tree SET hash = sha256('x') WHERE index = 0").await;
    let before = stored(&desk).await;
    install(&database, &passwords(), &desk.key.public()).await.unwrap();
    assert_eq!(stored(&desk).await, before);
}

#[tokio::test]
async fn proofs_convince_who_knows_nothing_but_the_roots() {
    let desk = Desk::new().await;
    let open = desk.open().await;
    fill(&open, 70_000).await;
    let leaves = leaves(&open).await;
    let reader = open.log.reader();
    assert_eq!(desk.ask("SELECT count(*) FROM tree WHERE level = 16").await, "1");
    let hash = |digest: Digest| tlog::Hash(*digest.as_bytes());
    let at = |position: u64| Position::from(position);
    let mut frontier = Frontier::default();
    let mut roots = vec![frontier.root()];
    for leaf in &leaves {
        frontier.push(*leaf);
        roots.push(frontier.root());
    }
    for (smaller, size) in [
        (1, 1),
        (1, 2),
        (3, 7),
        (255, 256),
        (256, 257),
        (257, 511),
        (300, 65_535),
        (65_535, 65_536),
        (65_536, 65_537),
        (777, 70_000),
        (69_999, 70_000),
    ] {
        let root = |size: u64| roots[usize::try_from(size).unwrap()];
        let asked = reader.answer(TreeQuery::Root { size: at(size) }).await.unwrap();
        assert_eq!(asked, [root(size)], "the root of {size}");
        let leaf = leaves[usize::try_from(smaller).unwrap() - 1];
        let proof = reader.answer(TreeQuery::Inclusion { position: at(smaller), size: at(size) }).await.unwrap();
        check_inclusion(&proof, (at(size), root(size)), (at(smaller), leaf)).unwrap();
        let theirs = proof.into_iter().map(hash).collect();
        tlog::check_record(&theirs, size, hash(root(size)), smaller - 1, hash(leaf)).unwrap();
        let proof = reader.answer(TreeQuery::Consistency { from: at(smaller), to: at(size) }).await.unwrap();
        check_consistency(&proof, (at(smaller), root(smaller)), (at(size), root(size))).unwrap();
        let theirs = proof.into_iter().map(hash).collect();
        tlog::check_tree(&theirs, size, hash(root(size)), smaller, hash(root(smaller))).unwrap();
    }
    let none = reader.answer(TreeQuery::Inclusion { position: at(70_000), size: at(70_001) }).await;
    assert!(none.is_err(), "{none:?}");
}

#[tokio::test]
async fn nothing_is_appended_to_a_log_that_is_not_what_its_head_says() {
    let desk = Desk::new().await;
    let open = desk.open().await;
    fill(&open, 5).await;
    let root = desk.ask("SELECT encode(root, 'hex') FROM log_head").await;
    desk.sql("UPDATE log_head SET root = sha256('x')").await;
    let refused = open.submit(one(retry("a"))).await;
    assert!(matches!(&refused, Err(SubmitError::Unavailable(why)) if why.contains("up to 5")), "{refused:?}");
    desk.sql(&format!("UPDATE log_head SET root = '\\x{root}'")).await;
    open.submit(one(retry("a"))).await.unwrap();

    // One more than the head says, though its leaf seals it.
    desk.sql(
        "INSERT INTO event SELECT 7, gen_random_uuid(), gen_random_uuid(), 1, 1, entity, version + 1, type, v, actor, \
         reason, at, data, leaf FROM event WHERE position = 6",
    )
    .await;
    let refused = open.submit(one(retry("a"))).await;
    assert!(matches!(&refused, Err(SubmitError::Unavailable(why)) if why.contains("event 7")), "{refused:?}");
}
