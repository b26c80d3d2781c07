//! Appending: one total order, true answers, each request whole and once.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::future::join_all;
use schema::address::APP_ROLE;
use schema::answer::Answer;
use schema::event::Event;
use serde_json::json;
use store::database::Database;
use store::log::SubmitError;
use store::reader::EventPage;

use crate::desk::{Desk, enrol, named, one, put, reasons, retry};
use testkit::law;

/// Whether an answer says what the log says.
fn is_true(answer: &Answer, log: &[Event]) {
    for said in &answer.events {
        let event = &log[usize::try_from(said.position.get()).unwrap() - 1];
        assert_eq!((event.position, event.version), (said.position, said.version));
        assert_eq!((&event.entity, &event.event_type), (&said.entity, &said.event_type));
    }
}

/// Positions are 1..N, times rise, every leaf seals, and versions of each entity count from 1.
fn is_whole(log: &[Event]) {
    let mut versions = std::collections::BTreeMap::new();
    for (index, event) in log.iter().enumerate() {
        assert_eq!(event.position.get(), index as u64 + 1);
        assert!(event.is_intact());
        let version = versions.entry(event.entity.clone()).or_insert(0);
        *version += 1;
        assert_eq!(event.version.get(), *version, "{}", event.entity);
    }
    assert!(log.windows(2).all(|pair| pair[0].at <= pair[1].at));
}

#[tokio::test]
async fn many_callers_share_a_transaction_and_get_true_answers() {
    let desk = Desk::new().await;
    let open = desk.open().await;
    let bodies =
        (0..256).map(|number| json!({"commands": [enrol(&format!("n-{number}")), retry(&format!("n-{number}"))]}));
    let answers = join_all(bodies.map(|body| open.submit(body))).await;
    let log = open.events().await;
    assert_eq!(log.len(), 512);
    is_whole(&log);
    for answer in answers {
        is_true(&answer.unwrap(), &log);
    }
    let transactions: usize = desk.ask("SELECT count(DISTINCT xmin::text) FROM event").await.parse().unwrap();
    assert!(transactions <= 8, "256 requests took {transactions} transactions");
    assert_eq!(law::table(&desk.backends.database()).await.unwrap().len(), 512);
}

#[tokio::test]
async fn a_key_gives_the_first_accepted_answer_for_ever() {
    let desk = Desk::new().await;
    let open = desk.open().await;
    // Sent many times at once, it happens once.
    let body = named("first", enrol("a"));
    let answers = join_all((0..32).map(|_| open.submit_under(body.clone(), Some("k")))).await;
    let first = answers[0].clone().unwrap();
    assert!(answers.into_iter().all(|answer| answer.unwrap() == first));
    assert_eq!(open.events().await.len(), 1);
    assert_eq!(open.submit_under(one(enrol("b")), Some("k")).await, Err(SubmitError::KeyReused));

    // What changed nothing is remembered as well; what was refused is not.
    let nothing = open.submit_under(one(enrol("a")), Some("nothing")).await.unwrap();
    assert!(nothing.events.is_empty());
    let mut lonely = put("d", "for nobody");
    lonely["target"] = json!({"nodes": ["nobody"]});
    let told = open.submit_under(one(lonely.clone()), Some("lonely")).await.unwrap();
    assert_eq!((told.command_id, told.warnings.len()), (Some(open.events().await[1].command_id), 1));
    let early = open.submit_under(one(retry("b")), Some("early")).await;
    assert!(matches!(early, Err(SubmitError::Refused(_))), "{early:?}");
    open.submit(json!({"commands": [enrol("b"), json!({"type": "retire_node", "id": "a"})]})).await.unwrap();
    assert!(open.submit_under(one(retry("b")), Some("early")).await.is_ok());

    // Another process gives the same answers.
    drop(open);
    let open = desk.open().await;
    assert_eq!(open.submit_under(body, Some("k")).await.unwrap(), first);
    assert_eq!(open.submit_under(one(enrol("a")), Some("nothing")).await.unwrap(), nothing);
    assert_eq!(open.submit_under(one(lonely.clone()), Some("lonely")).await.unwrap(), told);
    assert_eq!(open.submit_under(one(retry("a")), Some("k")).await, Err(SubmitError::KeyReused));

    // An older program kept neither the request's identity nor what was to be said of it.
    let older = "UPDATE receipt SET answer = (answer::jsonb - 'command_id' - 'warnings')::json";
    desk.sql(&format!("SET session_replication_role = replica; {older}")).await;
    let kept = open.submit_under(one(lonely), Some("lonely")).await.unwrap();
    assert_eq!(kept, Answer { command_id: None, warnings: Vec::new(), ..told });
    assert_eq!(open.events().await.len(), 5);
}

#[tokio::test]
async fn a_refusal_costs_the_others_nothing_and_leaves_no_trace() {
    let desk = Desk::new().await;
    let open = desk.open().await;
    let body = |number: usize| match number % 2 {
        0 => one(put(&format!("good-{number}"), &format!("{number}"))),
        _ => json!({"commands": [put(&format!("bad-{number}"), &format!("{number}")), retry("nobody")]}),
    };
    let answers = join_all((0..64).map(|number| open.submit(body(number)))).await;
    for (number, answer) in answers.into_iter().enumerate() {
        match answer {
            Ok(_) => assert_eq!(number % 2, 0),
            Err(SubmitError::Refused(refused)) => {
                assert_eq!((number % 2, refused.field().as_str()), (1, "commands[1].id"))
            }
            Err(other) => panic!("{other}"),
        }
    }
    let log = open.events().await;
    assert_eq!(log.len(), 32);
    is_whole(&log);
    assert_eq!(desk.ask("SELECT count(*) FROM blob").await, "32", "no content of what was refused");
}

#[tokio::test]
async fn two_writers_keep_one_log_and_see_what_the_other_wrote() {
    let desk = Desk::new().await;
    let (left, right) = (desk.open().await, desk.open().await);
    left.submit(one(enrol("a"))).await.unwrap();
    let calls = (0..300).map(|number| {
        let open = if number % 2 == 0 { &left } else { &right };
        open.submit(named(&format!("r-{number}"), retry("a")))
    });
    let answers = join_all(calls).await;
    let log = left.events().await;
    assert_eq!(log.len(), 301);
    is_whole(&log);
    let mut positions = BTreeSet::new();
    for answer in answers {
        let answer = answer.unwrap();
        is_true(&answer, &log);
        positions.insert(answer.position);
    }
    assert_eq!(positions.len(), 300, "no two answers name one position");
    assert!(reasons(&log).values().all(|times| *times == 1));

    // Whoever waits for it sees it at once; whoever does not, a little later.
    let answer = left.submit(one(put("x", "x"))).await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), right.log.reached(answer.position)).await.unwrap();
    assert_eq!(right.log.view().documents().len(), 1);
}

#[tokio::test]
async fn text_comes_back_as_it_went_in() {
    let desk = Desk::new().await;
    let open = desk.open().await;
    let texts = [
        "quotes \" ' and \\ and \\u0041 and \\n",
        "line\nbreak\r\n\ttab \u{1} \u{7f} \u{85} \u{2028}",
        "Ünïcödé e\u{301} 😀 \u{feff} \u{10ffff} \u{d7ff}",
        "<script>&amp; {}[]:, null 1e5",
    ];
    for (number, text) in texts.iter().enumerate() {
        let labels = json!({"key": text});
        let enrol = json!({"type": "enrol_node", "id": format!("n-{number}"), "labels": labels});
        open.submit(json!({"reason": text, "commands": [enrol]})).await.unwrap();
    }
    let log = open.events().await;
    is_whole(&log);
    for (event, text) in log.iter().zip(texts) {
        assert_eq!(event.reason.as_deref(), Some(text));
        let data: serde_json::Value = serde_json::from_str(&event.data).unwrap();
        assert_eq!(data["labels"]["key"], text);
        let stored = desk.ask(&format!("SELECT data::text FROM event WHERE position = {}", event.position)).await;
        assert_eq!(stored, event.data, "byte for byte");
    }
    let again = desk.open().await;
    assert_eq!(again.log.view().nodes().len(), texts.len(), "another process folds it");
}

#[tokio::test]
async fn who_freezes_with_the_lock_is_cut_off() {
    let desk = Desk::new().await;
    let open = desk.open().await;
    let frozen = Database::parse(&desk.backends.database_as(APP_ROLE)).unwrap().connect("frozen").await.unwrap();
    frozen.batch_execute("BEGIN; SELECT FROM log_head FOR UPDATE").await.unwrap();
    let begun = Instant::now();
    open.submit(one(enrol("a"))).await.unwrap();
    assert!(begun.elapsed() > Duration::from_secs(2), "the lock was held");
    assert!(begun.elapsed() < Duration::from_secs(9), "it took {:?}", begun.elapsed());
    assert!(frozen.batch_execute("UPDATE log_head SET position = 9").await.is_err());
    assert_eq!(desk.ask("SELECT position FROM log_head").await, "1");
}

#[tokio::test]
async fn a_log_that_was_put_back_takes_nothing() {
    let desk = Desk::new().await;
    let open = desk.open().await;
    for number in 0..3 {
        open.submit(one(enrol(&format!("n-{number}")))).await.unwrap();
    }
    desk.sql(
        "ALTER TABLE event DISABLE TRIGGER event_is_append_only; DELETE FROM event WHERE position = 3; \
         UPDATE log_head SET position = 2",
    )
    .await;
    let refused = open.submit(one(retry("n-2"))).await;
    assert!(matches!(refused, Err(SubmitError::Unavailable(_))), "{refused:?}");
    assert!(open.log.health().fault().unwrap().contains("put back"), "{:?}", open.log.health());
    assert_eq!(open.events().await.len(), 2);
}

#[tokio::test]
async fn a_page_of_events_ends_with_the_one_that_goes_beyond_its_bytes() {
    let desk = Desk::new().await;
    let open = desk.open().await;
    // Far more text than PostgreSQL keeps of it: what counts is what would be sent.
    let control =
        |id: &str| json!({"type": "define_control", "id": id, "title": "t", "statement": "x".repeat(100_000)});
    open.submit(json!({"commands": [control("a"), control("b"), control("c"), control("d")]})).await.unwrap();
    for (bytes, control, positions) in [
        (0, None, 1..=1),
        (150_000, None, 1..=2),
        (250_000, None, 1..=3),
        (1_000_000, None, 1..=4),
        (0, Some("control/c"), 3..=3),
    ] {
        let entity = control.map(str::to_owned);
        let page = EventPage { limit: 10, bytes: Some(bytes), entity, ..EventPage::default() };
        let found = open.log.reader().events(page).await.unwrap();
        assert!(found.iter().all(Event::is_intact));
        let found: Vec<u64> = found.iter().map(|event| event.position.get()).collect();
        assert_eq!(found, Vec::from_iter(positions), "{bytes}");
    }
}
