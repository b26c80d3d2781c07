//! Proposals and verdicts on the wire: what is wrong is refused by name, and nothing else that the log's key signs is a verdict.

use schema::command::Command;
use schema::desired::Desired;
use schema::digest::Digest;
use schema::limit::{PROPOSAL_BYTES_MAX, PROPOSAL_MESSAGE_BYTES_MAX, REASON_BYTES_MAX};
use schema::proposal::ProposalBase;
use schema::proposal_message::{ProposalMessage, Verdict, VerdictContext, VerdictError, VerdictState};
use schema::seal::SecretKey;
use schema::wire::WireRecord as _;

fn message() -> ProposalMessage {
    ProposalMessage {
        v: 1,
        log_id: "0197f3a0-0000-7000-8000-0000000000a1".parse().unwrap(),
        node: "n-1".parse().unwrap(),
        boot_no: 1,
        seq: 1,
        id: "0197f3a0-3333-7333-8333-000000000001".parse().unwrap(),
        withdrawn: false,
        path: "daq/calibration.json".into(),
        media_type: "application/json".into(),
        content: b"{}".to_vec(),
        base: ProposalBase { position: 3.into(), digest: Some(Digest::of(b"")) },
        reason: Some("lamp".into()),
        at: "2026-01-01T00:00:00Z".parse().unwrap(),
    }
}

#[test]
fn a_message_is_the_command_that_it_asks_for() {
    let request = message().request().unwrap();
    assert_eq!(request.reason.as_deref(), Some("lamp"));
    let Command::Propose(propose) = &request.commands[0].command else { panic!("{request:?}") };
    assert_eq!((propose.path.as_str(), propose.base), ("daq/calibration.json", message().base));
    assert_eq!(request.commands[0].command.entity().id, *message().proposal().id());
    let withdrawn = ProposalMessage { withdrawn: true, path: "../x".into(), ..message() };
    assert_ne!(withdrawn.idempotency_key(), message().idempotency_key());
    let request = withdrawn.request().unwrap();
    assert!(matches!(&request.commands[0].command, Command::WithdrawProposal(..)), "{request:?}");
}

#[test]
fn what_is_wrong_with_a_message_is_refused_by_its_name() {
    let big = |bytes: usize| vec![b'x'; bytes];
    let table: [(&str, &str, ProposalMessage); 7] = [
        ("invalid_path", "path", ProposalMessage { path: "../etc/passwd".into(), ..message() }),
        ("invalid_path", "path", ProposalMessage { path: "jobs/x".into(), ..message() }),
        ("invalid_path", "path", ProposalMessage { path: "a\u{202e}b".into(), ..message() }),
        ("invalid_value", "media_type", ProposalMessage { media_type: "text".into(), ..message() }),
        ("too_large", "content", ProposalMessage { content: big(PROPOSAL_BYTES_MAX + 1), ..message() }),
        ("too_large", "reason", ProposalMessage { reason: Some("x".repeat(REASON_BYTES_MAX + 1)), ..message() }),
        ("nul_in_text", "reason", ProposalMessage { reason: Some("a\0".into()), ..message() }),
    ];
    for (code, field, wrong) in table {
        let refused = wrong.request().expect_err(code);
        assert_eq!((refused.code, refused.field.as_str()), (code, field), "{refused}");
    }
}

#[test]
fn the_largest_message_is_within_its_limit() {
    let longest = "x".repeat(255);
    let largest = ProposalMessage {
        path: longest.clone(),
        media_type: format!("a/{}", &longest[2..]),
        content: vec![b'x'; PROPOSAL_BYTES_MAX],
        reason: Some("x".repeat(REASON_BYTES_MAX)),
        boot_no: u64::MAX,
        seq: u64::MAX,
        ..message()
    };
    assert!(largest.write().len() <= PROPOSAL_MESSAGE_BYTES_MAX);
    largest.request().expect("nothing is too large");
}

#[test]
fn a_verdict_counts_by_the_logs_key_and_by_its_name() {
    let key = SecretKey::from_seed(&[7; 32]);
    let verdict = Verdict {
        v: 1,
        context: VerdictContext,
        log_id: message().log_id,
        node: message().node,
        id: message().id,
        state: VerdictState::Open,
        code: None,
        field: None,
        detail: None,
        position: 4.into(),
        command_id: None,
        by: None,
        reason: None,
        document: None,
    };
    let sealed = verdict.seal(&key);
    assert_eq!(Verdict::open(&sealed, &key.public()), Ok(verdict.clone()));
    let other = SecretKey::from_seed(&[8; 32]).public();
    assert!(matches!(Verdict::open(&sealed, &other), Err(VerdictError::Signature(_))));
    let hex = include_str!("golden/records/desired-empty.record.hex");
    let desired = hex::decode(hex.trim()).unwrap();
    Desired::read(&desired).expect("a record of desired state");
    let signed = key.seal(desired).write();
    assert!(matches!(Verdict::open(&signed, &key.public()), Err(VerdictError::Record(_))), "it is no verdict");
    assert!(!verdict.is_final() && Verdict { state: VerdictState::Refused, ..verdict }.is_final());
}
