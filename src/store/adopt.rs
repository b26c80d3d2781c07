//! Taking events back that the log had and lost: as they were, under the head row's lock, in whole requests.
//!
//! What always holds: each event goes on from the one before it, by the same check that every follower makes; what is in
//! the log is never changed. A request that came under a key gets a receipt that no request fits, because what was asked is not in
//! its events: nothing is done twice, and whoever sends it again is recognized by what it comes to (`restored`).

use std::collections::BTreeMap;

use replay::log::Follower;
use schema::answer::{Answer, Appended};
use schema::command::Content;
use schema::digest::Digest;
use schema::event::Event;

use super::append_session::AppendSession as _;
use super::batch::{Batch, Receipt};
use super::database::Error;
use super::reader::Reader;
use super::store::PostgresSession;

/// Events from which on a transaction is full.
const EVENTS_ENOUGH: usize = 500;
/// The version of a command's UUID that was derived from an idempotency key.
const DERIVED: usize = 8;

/// Appends `events` behind the head to which `follower` followed the log, with what of their content is there.
///
/// # Errors
/// If they do not go on from there, the log has grown meanwhile, or it can't be written. What was stored stays.
pub async fn adopt(
    reader: &Reader,
    follower: &mut Follower,
    events: &[Event],
    contents: &BTreeMap<Digest, Content>,
) -> Result<(), Error> {
    let store = PostgresSession::open(reader.database()).await?;
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

/// The events as what they would have been stored with.
fn batch(follower: &mut Follower, events: &[Event], contents: &BTreeMap<Digest, Content>) -> Result<Batch, Error> {
    let before = (follower.configuration().clone(), follower.edge().clone());
    let mut batch = Batch::new(follower.log_id(), before, Vec::new());
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

/// What stands in a receipt for a request that is not known, by its last event.
pub(super) fn mark(last: &Event) -> Digest {
    Digest::of(last.leaf.as_bytes())
}

fn receipt(request: &[Event]) -> Receipt {
    let last = &request[request.len() - 1];
    let appended = |event: &Event| Appended {
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
    Receipt { command_id: last.command_id, fingerprint: mark(last), answer }
}
