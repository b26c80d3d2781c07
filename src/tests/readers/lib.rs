//! What reads bytes from outside, each as one call: whether it took them. The fuzzer calls them, and so does the suite.
//!
//! What always holds: none of them panics, whatever the bytes are; what was read is written and read again as the same.

use client::oscal::document;
use client::oscal::draft::ImportDraft;
use client::oscal::plan::{ImportPlan, KnownIds};
use schema::desired::Desired;
use schema::event::Event;
use schema::report::Reported;
use schema::request::Request;
use schema::rpc::{self, ClaimRequest, CompleteRequest, ListClaims, ReleaseRequest, RenewRequest, RpcReply, RpcVerb};
use schema::seal::{PublicKeyRecord, SignedRecord};
use schema::wire::WireRecord;
use uuid::Uuid;
use wal::decode::Decoder;

/// Messages of pgoutput, each behind its length in four bytes. Taken if all of them were.
pub fn pgoutput(mut bytes: &[u8]) -> bool {
    let mut decoder = Decoder::new(Uuid::nil().into());
    let mut is_taken = true;
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let (message, rest) = rest.split_at(length.min(rest.len()));
        is_taken &= decoder.read(message).is_ok();
        bytes = rest;
    }
    is_taken
}

/// A record of any kind.
pub fn record(bytes: &[u8]) -> bool {
    fn one<R: WireRecord + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> bool {
        let Ok(read) = R::read(bytes) else { return false };
        assert_eq!(R::read(&read.write()).as_ref(), Ok(&read), "what was read is read again");
        true
    }
    let readers = [
        one::<Event>,
        one::<SignedRecord>,
        one::<Desired>,
        one::<PublicKeyRecord>,
        one::<Reported>,
        one::<ClaimRequest>,
        one::<RenewRequest>,
        one::<ReleaseRequest>,
        one::<CompleteRequest>,
        one::<ListClaims>,
        one::<RpcReply>,
    ];
    // Each looks at the bytes, whoever takes them.
    readers.iter().filter(|reader| reader(bytes)).count() > 0
}

/// The body of a request of the HTTP API.
pub fn request(bytes: &[u8]) -> bool {
    Request::read(bytes).is_ok()
}

/// What a node asks over NATS, with any verb.
pub fn asked(bytes: &[u8]) -> bool {
    let Ok(node) = "n-1".parse() else { return false };
    RpcVerb::ALL.iter().filter(|verb| rpc::read_request(**verb, &node, bytes).is_ok()).count() > 0
}

/// A file of OSCAL.
pub fn oscal(bytes: &[u8]) -> bool {
    let mut draft = ImportDraft::new("0 0 * * *");
    let is_taken = document::read("file.json", bytes, &mut draft).is_ok();
    let _plan = ImportPlan::of(draft, &KnownIds::new());
    is_taken
}
