//! What a node asks over NATS is read as the command that HTTP would make of it, or refused by the name of what is wrong.

use schema::answer::CommandOutcome;
use schema::id::NodeId;
use schema::lease::LeasedJob;
use schema::limit::{EVIDENCE_BYTES_MAX, RPC_REQUEST_BYTES_MAX, RPC_SPECS_BYTES_MAX};
use schema::request::Request;
use schema::rpc::{RpcError, RpcOutcome, RpcRequest, RpcVerb, read_request, request_id};
use serde_json::{Value, json};

fn node() -> NodeId {
    "n-1".parse().unwrap()
}

/// What the fields come to, written as MessagePack.
fn asked(verb: RpcVerb, fields: &Value) -> Result<RpcRequest, RpcError> {
    read_request(verb, &node(), &rmp_serde::to_vec_named(fields).unwrap())
}

#[test]
fn a_request_is_the_command_that_http_would_make_of_it() {
    for (verb, fields, command) in [
        (
            RpcVerb::Claim,
            json!({"v": 1, "id": "a", "limit": 3}),
            json!({"type": "claim_jobs", "runtime": "n-1", "limit": 3}),
        ),
        (
            RpcVerb::Claim,
            json!({"v": 1, "id": "a", "limit": 3, "lease_s": 60, "runtime": "n-1", "later": [1]}),
            json!({"type": "claim_jobs", "runtime": "n-1", "limit": 3, "lease_s": 60}),
        ),
        (RpcVerb::Renew, json!({"v": 1, "id": "a"}), json!({"type": "renew_claims", "runtime": "n-1"})),
        (
            RpcVerb::Release,
            json!({"v": 1, "id": "a", "jobs": ["x"]}),
            json!({"type": "release_jobs", "runtime": "n-1", "jobs": ["x"]}),
        ),
    ] {
        let same = Request::read(json!({ "commands": [command] }).to_string().as_bytes()).unwrap();
        assert_eq!(asked(verb, &fields), Ok(RpcRequest::Command("a".into(), same)), "{fields}");
    }
    let at = |fields: Value| asked(RpcVerb::ListClaims, &fields).unwrap();
    assert_eq!(at(json!({"v": 1, "id": "a"})), RpcRequest::ListClaims(0.into()));
    assert_eq!(at(json!({"v": 1, "id": "a", "min_position": 7})), RpcRequest::ListClaims(7.into()));
}

#[test]
fn the_id_of_a_request_is_read_whatever_else_is_wrong_with_it() {
    let id = |fields: Value| request_id(&rmp_serde::to_vec_named(&fields).unwrap());
    assert_eq!(id(json!({"v": 2, "id": "a", "limit": "another form"})).as_deref(), Some("a"));
    for none in [json!({"v": 1}), json!({"id": 7}), json!([]), json!({"id": "x".repeat(256)})] {
        assert_eq!(id(none.clone()), None, "{none}");
    }
    assert_eq!(
        (request_id(b"nonsense"), request_id(&[]), request_id(&vec![0; RPC_REQUEST_BYTES_MAX + 1])),
        (None, None, None)
    );
}

#[test]
fn what_is_wrong_is_refused_by_its_name() {
    let long = "x".repeat(256);
    for (verb, code, field, fields) in [
        (RpcVerb::Claim, "newer_format", "", json!({"v": 2, "limit": "another form"})),
        (RpcVerb::Claim, "damaged_record", "", json!({"id": "a", "limit": 1})),
        (RpcVerb::Claim, "damaged_record", "", json!({"v": 1, "limit": 1})),
        (RpcVerb::Claim, "damaged_record", "", json!({"v": 1, "id": "a"})),
        (RpcVerb::Claim, "damaged_record", "", json!({"v": 1, "id": "a", "limit": -1})),
        (RpcVerb::Claim, "invalid_value", "limit", json!({"v": 1, "id": "a", "limit": 0})),
        (RpcVerb::Claim, "invalid_value", "limit", json!({"v": 1, "id": "a", "limit": 1001})),
        (RpcVerb::Claim, "invalid_value", "lease_s", json!({"v": 1, "id": "a", "limit": 1, "lease_s": 9})),
        (RpcVerb::Claim, "not_permitted", "runtime", json!({"v": 1, "id": "a", "limit": 1, "runtime": "n-2"})),
        (RpcVerb::Renew, "not_permitted", "runtime", json!({"v": 1, "id": "a", "runtime": "n-2"})),
        (RpcVerb::ListClaims, "not_permitted", "runtime", json!({"v": 1, "id": "a", "runtime": "n-2"})),
        (RpcVerb::Renew, "invalid_id", "id", json!({"v": 1, "id": ""})),
        (RpcVerb::Renew, "invalid_id", "id", json!({"v": 1, "id": "a b"})),
        (RpcVerb::ListClaims, "invalid_id", "id", json!({"v": 1, "id": long})),
        (RpcVerb::Release, "damaged_record", "", json!({"v": 1, "id": "a", "jobs": ["not an id"]})),
    ] {
        let fault = asked(verb, &fields).unwrap_err();
        assert_eq!((fault.code.as_str(), fault.field.as_str()), (code, field), "{fields}: {}", fault.detail);
        assert!(!fault.is_transient(), "{fields}");
    }
    let whole = rmp_serde::to_vec_named(&json!({"v": 1, "id": "a", "limit": 1})).unwrap();
    for end in 0..whole.len() {
        assert_eq!(read_request(RpcVerb::Claim, &node(), &whole[..end]).unwrap_err().code, "damaged_record");
    }
    let endless = vec![0xc0; RPC_REQUEST_BYTES_MAX + 1];
    assert_eq!(read_request(RpcVerb::Renew, &node(), &endless).unwrap_err().code, "too_large");
}

#[test]
fn a_field_is_one_of_the_request_and_not_of_a_list_of_commands() {
    for (told, field) in [("commands[0].limit", "limit"), ("commands[0]", ""), ("commands", ""), ("runtime", "runtime")]
    {
        assert_eq!(RpcError::new("code", told, "").field, field, "{told}");
    }
}

#[test]
fn evidence_has_the_limits_that_it_has_over_http() {
    let complete = |evidence: &str| {
        let complete = schema::rpc::CompleteRequest {
            v: 1,
            id: "a".into(),
            runtime: None,
            sent: None,
            job: "x".parse().unwrap(),
            token: schema::digest::Digest::of(b"token").into(),
            spec_digest: schema::digest::Digest::of(b"spec"),
            outcome: "pass".into(),
            evidence: evidence.into(),
        };
        let bytes = schema::wire::WireRecord::write(&complete);
        read_request(RpcVerb::Complete, &node(), &bytes).map_err(|fault| (fault.code, fault.field))
    };
    assert!(complete(&"\u{1}".repeat(EVIDENCE_BYTES_MAX)).is_ok());
    let refused = |code: &str, field: &str| Err((code.to_owned(), field.to_owned()));
    assert_eq!(complete(&"x".repeat(EVIDENCE_BYTES_MAX + 1)), refused("too_large", "evidence"));
    assert_eq!(complete("\0"), refused("nul_in_text", "evidence"));
}

#[test]
fn a_reply_has_the_specs_that_it_has_room_for_and_all_leases() {
    let digest = schema::digest::Digest::of(b"");
    let large = json!("x".repeat(RPC_SPECS_BYTES_MAX / 3));
    let lease = |id: usize| LeasedJob {
        id: format!("j{id}").parse().unwrap(),
        token: digest.into(),
        spec_digest: digest,
        lease_s: 10,
        spec: Some(large.clone()),
    };
    let jobs = Some((0..5).map(lease).collect());
    let outcome = CommandOutcome {
        entity: "runtime/n-1".parse().unwrap(),
        version: 1.into(),
        changed: true,
        jobs,
        owned_by: None,
    };
    let jobs = RpcOutcome::from(outcome).jobs.unwrap();
    let with: Vec<bool> = jobs.iter().map(|job| job.spec.is_some()).collect();
    assert_eq!(with, [true, true, false, false, false]);
}
