//! Restoring events that the log had and lost: unchanged, in whole requests, while the head row is locked.
//!
//! Always: each event follows the one before it, by the check that every follower makes; events in the log are never changed. A request
//! that came under an idempotency key gets a receipt that matches no request, because events do not contain the request. So nothing is
//! done twice; a caller that sends the request again is recognised by the events that it leads to (`replayed_receipts`).

use std::collections::BTreeMap;

use replay::log::Follower;
use schema::answer::{Answer, AppendedEvent};
use schema::command::Content;
use schema::digest::Digest;
use schema::event::Event;

use super::append_session::AppendSession as _;
use super::batch::{DecidedBatch, RequestReceipt};
use super::database::Error;
use super::postgres_session::PostgresAppendSession;
use super::reader::Reader;

/// Events after which a transaction is full.
const EVENTS_ENOUGH: usize = 500;
/// The version of a request's UUID that was derived from an idempotency key.
const DERIVED: usize = 8;

/// Appends `events` behind the head up to which `follower` followed the log, with those of their contents that are given.
///
/// # Errors
/// If they do not follow the head, the log has grown meanwhile, or it can't be written. Transactions before the error stay.
pub async fn restore_events(
    reader: &Reader,
    follower: &mut Follower,
    events: &[Event],
    contents: &BTreeMap<Digest, Content>,
) -> Result<(), Error> {
    let store = PostgresAppendSession::open(reader.database()).await?;
    let mut rest = events;
    while !rest.is_empty() {
        let full = rest.iter().enumerate().find(|(index, event)| event.ends_request() && index + 1 >= EVENTS_ENOUGH);
        let (chunk, after) = rest.split_at(full.map_or(rest.len(), |(index, _)| index + 1));
        let opened = store.lock_head(follower.log_id(), follower.position(), &[]).await?;
        if opened.head.position != follower.position() {
            store.roll_back().await?;
            return Err(Error::Withheld("the log has grown meanwhile: look again what is missing".to_owned()));
        }
        let batch = batch(follower, chunk, contents)?;
        Box::pin(store.commit(follower.log_id(), &batch, opened.epoch)).await?;
        rest = after;
    }
    Ok(())
}

/// The events as the batch with which they would have been stored.
fn batch(
    follower: &mut Follower,
    events: &[Event],
    contents: &BTreeMap<Digest, Content>,
) -> Result<DecidedBatch, Error> {
    let before = (follower.configuration().clone(), follower.frontier().clone());
    let mut batch = DecidedBatch::new(follower.log_id(), before, Vec::new());
    for event in events {
        follower.advance(event)?;
        batch.growth.push(event.leaf);
    }
    let requests = events.chunk_by(|one, next| one.command_id == next.command_id);
    let keyed = requests.filter(|request| request[0].command_id.uuid().get_version_num() == DERIVED);
    batch.receipts = keyed.map(receipt).collect();
    batch.contents = contents.clone();
    batch.events = events.to_vec();
    batch.configuration = follower.configuration().clone();
    Ok(batch)
}

/// The fingerprint in the receipt of a request that is not known, made from its last event.
pub(super) fn fingerprint_of(last: &Event) -> Digest {
    Digest::of(last.leaf.as_bytes())
}

fn receipt(request: &[Event]) -> RequestReceipt {
    let last = &request[request.len() - 1];
    let appended = |event: &Event| AppendedEvent {
        position: event.position,
        event_type: event.event_type.clone(),
        entity: event.entity.clone(),
        version: event.version,
    };
    let events = request.iter().map(appended).collect();
    let answer = Answer {
        log_id: last.log_id,
        command_id: Some(last.command_id),
        position: last.position,
        events,
        results: Vec::new(),
        warnings: Vec::new(),
    };
    RequestReceipt { command_id: last.command_id, fingerprint: fingerprint_of(last), answer }
}
