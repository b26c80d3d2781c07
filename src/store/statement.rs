//! A batch as one statement, which stores all of it if the head is the one that the batch was decided against, and else nothing.
//!
//! One statement is a transaction of its own if no other was begun. So a batch needs no BEGIN; if a BEGIN failed, the statements after it
//! would commit one by one.

use std::time::SystemTime;

use projections::configuration::Configuration;
use replay::tree::Frontier;
use schema::event_table::EVENT_COLUMNS;
use schema::id::LogId;
use schema::instant::Instant;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use super::append_session::Epoch;
use super::batch::{DecidedBatch, RequestReceipt};
use super::clocks::APART_MAX;
use super::{rows, tree};

/// The statement. It returns the number of head rows that matched, one or none. None also if the given clock is ahead of PostgreSQL's.
pub(crate) fn append() -> String {
    const IF_SO: &str = "WHERE EXISTS (SELECT FROM head)";
    // The parameters behind the columns of `event`, in the order of `types`.
    let [
        digest,
        bytes,
        nodes,
        _,
        _,
        command,
        fingerprint,
        answer,
        position,
        at,
        root,
        log_id,
        base,
        base_root,
        turn,
        clock,
    ] = std::array::from_fn(|index| EVENT_COLUMNS.len() + 1 + index);
    let (events, nodes) = (rows::insert(IF_SO), tree::insert(nodes, IF_SO));
    let apart = APART_MAX.as_secs();
    format!(
        "WITH head AS ( \
             UPDATE log_head SET position = ${position}, at = ${at}, root = ${root} \
             WHERE log_id = ${log_id} AND position = ${base} AND root = ${base_root} AND turn = ${turn} \
             AND (${clock}::timestamptz IS NULL OR ${clock} <= clock_timestamp() + interval '{apart} s') RETURNING turn), \
         events AS ({events}), \
         blobs AS ( \
             INSERT INTO blob (digest, bytes) SELECT * FROM unnest(${digest}::bytea[], ${bytes}::bytea[]) {IF_SO} \
             ON CONFLICT (digest) DO NOTHING), \
         nodes AS ({nodes}), \
         receipts AS ( \
             INSERT INTO receipt (command_id, fingerprint, answer, at) \
             SELECT command_id, fingerprint, answer::json, now() \
             FROM unnest(${command}::uuid[], ${fingerprint}::bytea[], ${answer}::text[]) \
                  AS new (command_id, fingerprint, answer) {IF_SO}) \
         SELECT count(*) FROM head"
    )
}

/// The types of its parameters.
pub(crate) fn types() -> Vec<Type> {
    const BLOBS: [Type; 2] = [Type::BYTEA_ARRAY, Type::BYTEA_ARRAY];
    const RECEIPTS: [Type; 3] = [Type::UUID_ARRAY, Type::BYTEA_ARRAY, Type::TEXT_ARRAY];
    const HEAD: [Type; 3] = [Type::INT8, Type::TIMESTAMPTZ, Type::BYTEA];
    const EXPECTED: [Type; 5] = [Type::UUID, Type::INT8, Type::BYTEA, Type::INT8, Type::TIMESTAMPTZ];
    [&rows::insert_types()[..], &BLOBS, &tree::INSERT_TYPES, &RECEIPTS, &HEAD, &EXPECTED].concat()
}

/// The parameters of the statement, column by column.
pub(crate) struct Parameters<'a> {
    events: rows::EventColumns<'a>,
    digests: Vec<&'a [u8]>,
    contents: Vec<&'a [u8]>,
    nodes: tree::NodeColumns<'a>,
    commands: Vec<Uuid>,
    fingerprints: Vec<&'a [u8]>,
    answers: Vec<String>,
    head: (i64, SystemTime, Vec<u8>),
    expected: (Uuid, i64, Vec<u8>, i64),
    clock: Option<SystemTime>,
}

impl<'a> Parameters<'a> {
    pub(crate) fn of(log_id: LogId, batch: &'a DecidedBatch, epoch: Epoch, clock: Option<Instant>) -> Self {
        let (digests, contents) =
            batch.contents.iter().map(|(digest, content)| (&digest.as_bytes()[..], &content.bytes()[..])).unzip();
        let (state, base) = (&batch.configuration, batch.base());
        let root = |frontier: &Frontier| frontier.root().as_bytes().to_vec();
        let position = |state: &Configuration| rows::signed(state.position().get());
        Self {
            events: rows::EventColumns::of(&batch.events),
            digests,
            contents,
            nodes: tree::NodeColumns::of(batch.growth.nodes()),
            commands: batch.receipts.iter().map(|receipt| receipt.command_id.uuid()).collect(),
            fingerprints: batch.receipts.iter().map(|receipt| &receipt.fingerprint.as_bytes()[..]).collect(),
            answers: batch.receipts.iter().map(answer_text).collect(),
            head: (position(state), rows::time(state.at()), root(batch.growth.frontier())),
            expected: (log_id.uuid(), position(&base.0), root(&base.1), epoch.0),
            clock: clock.map(rows::time),
        }
    }

    /// All of them, in their order.
    pub(crate) fn all(&self) -> Vec<&(dyn ToSql + Sync)> {
        let blobs: [&(dyn ToSql + Sync); 2] = [&self.digests, &self.contents];
        let receipts: [&(dyn ToSql + Sync); 3] = [&self.commands, &self.fingerprints, &self.answers];
        let head: [&(dyn ToSql + Sync); 3] = [&self.head.0, &self.head.1, &self.head.2];
        let expected: [&(dyn ToSql + Sync); 5] =
            [&self.expected.0, &self.expected.1, &self.expected.2, &self.expected.3, &self.clock];
        [&self.events.parameters()[..], &blobs, &self.nodes.parameters(), &receipts, &head, &expected].concat()
    }
}

fn answer_text(receipt: &RequestReceipt) -> String {
    serde_json::to_string(&receipt.answer).expect("BUG: an answer has text keys and no failing serializer")
}
