//! The signatures of records that the bucket held when it was read, with the bodies that this publisher rendered for the same nodes.
//!
//! Checking signatures takes longer than all the rest of a resync, and a node refuses a record whose signature is wrong. So they are checked
//! beside the relay's work, once it follows the log.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use program::tasks::run_blocking;
use schema::id::NodeId;
use schema::seal::{SecretKey, SignedRecord};
use schema::wire::WireRecord as _;
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

/// What is checked in one go: a twentieth of a second of one core.
const STEP_RECORDS: usize = 2_048;
const STEP_BYTES: usize = 8 * 1024 * 1024;
/// The longest pause after a step; it is as long as the step took.
const REST_MAX: Duration = Duration::from_secs(1);

/// A record of the bucket, with the revision of its key.
#[derive(Debug)]
pub struct HeldRecord {
    pub(super) node: NodeId,
    pub(super) revision: u64,
    pub(super) bytes: Bytes,
}

/// A check that is under way. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct SignatureCheck {
    resigned: Mutex<mpsc::Receiver<Vec<HeldRecord>>>,
    _task: AbortOnDropHandle<()>,
}

impl SignatureCheck {
    /// Begins to check whether `key` made the signatures of these records.
    pub(super) fn start(key: SecretKey, mut records: VecDeque<HeldRecord>) -> Self {
        // The check begins at a random record: where resyncs come oftener than a check ends, each record is checked in one of
        // them by and by.
        let first = fastrand::usize(..records.len().max(1));
        records.rotate_left(first);
        let (sender, resigned) = mpsc::channel(1);
        let task = AbortOnDropHandle::new(tokio::spawn(check(key, records, sender)));
        Self { resigned: Mutex::new(resigned), _task: task }
    }

    /// The next records whose signature is wrong, with the right one; never, once all are checked.
    pub(super) async fn resigned(&self) -> Vec<HeldRecord> {
        match self.resigned.lock().await.recv().await {
            Some(resigned) => resigned,
            None => std::future::pending().await,
        }
    }
}

async fn check(key: SecretKey, mut left: VecDeque<HeldRecord>, resigned: mpsc::Sender<Vec<HeldRecord>>) {
    let records = left.len();
    while !left.is_empty() {
        let (began, key, step) = (Instant::now(), key.clone(), next_step(&mut left));
        let wrong: Vec<HeldRecord> =
            run_blocking(move || step.into_iter().filter_map(|record| signed_again(&key, record)).collect()).await;
        let rest = began.elapsed().min(REST_MAX);
        if !wrong.is_empty() && resigned.send(wrong).await.is_err() {
            return;
        }
        // The relay's own work needs the processors more.
        sleep(rest).await;
    }
    tracing::debug!(records, "signatures of the records checked");
}

/// The next records: at least one, and no more than a step has.
fn next_step(left: &mut VecDeque<HeldRecord>) -> Vec<HeldRecord> {
    let mut bytes = 0;
    let fits = |record: &&HeldRecord| {
        bytes += record.bytes.len();
        bytes <= STEP_BYTES
    };
    let count = left.iter().take(STEP_RECORDS).take_while(fits).count().max(1);
    left.drain(..count.min(left.len())).collect()
}

/// The record with the signature that it should have, if it has another one. Signing takes half as long as verifying, and the same body
/// always gets the same signature.
fn signed_again(key: &SecretKey, record: HeldRecord) -> Option<HeldRecord> {
    let signed = SignedRecord::read(&record.bytes).expect("BUG: the record was read before");
    let bytes = Bytes::from(key.seal(signed.body).write());
    (bytes != record.bytes).then_some(HeldRecord { bytes, ..record })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(number: usize, bytes: Vec<u8>) -> HeldRecord {
        HeldRecord { node: format!("n-{number}").parse().expect("an id"), revision: 7, bytes: bytes.into() }
    }

    #[test]
    fn a_step_is_bounded_by_records_and_by_bytes() {
        let mut left: VecDeque<HeldRecord> = (0..STEP_RECORDS + 3).map(|number| held(number, vec![0])).collect();
        assert_eq!([next_step(&mut left).len(), next_step(&mut left).len(), left.len()], [STEP_RECORDS, 3, 0]);
        let sizes = [STEP_BYTES / 2, STEP_BYTES / 2, 1, STEP_BYTES + 1, 1];
        left.extend(sizes.into_iter().enumerate().map(|(number, size)| held(number, vec![0; size])));
        let steps: Vec<usize> = std::iter::from_fn(|| (!left.is_empty()).then(|| next_step(&mut left).len())).collect();
        assert_eq!(steps, [2, 1, 1, 1]);
    }

    #[tokio::test]
    async fn exactly_the_records_with_a_wrong_signature_come_back_with_the_right_one() {
        let key = SecretKey::from_seed(&[7; 32]);
        let right = |number: usize| key.seal(format!("body {number}").into_bytes());
        let is_wrong = |number: usize| number.is_multiple_of(1_000);
        let records = (0..2 * STEP_RECORDS + 1).map(|number| {
            let sig = if is_wrong(number) { [1; 64] } else { right(number).sig };
            held(number, SignedRecord { sig, ..right(number) }.write())
        });
        let check = SignatureCheck::start(key.clone(), records.collect());
        let mut found = Vec::new();
        let wanted: Vec<usize> = (0..2 * STEP_RECORDS + 1).filter(|number| is_wrong(*number)).collect();
        while found.len() < wanted.len() {
            found.extend(check.resigned().await);
        }
        found.sort_by_key(|record| record.node.as_str()[2..].parse::<usize>().expect("a number"));
        for (number, HeldRecord { node, revision, bytes }) in wanted.into_iter().zip(found) {
            assert_eq!((node.as_str(), revision), (format!("n-{number}").as_str(), 7));
            assert_eq!(bytes, right(number).write());
        }
        let more = tokio::time::timeout(Duration::from_millis(300), check.resigned());
        assert!(more.await.is_err(), "there are no others");
    }

    #[tokio::test]
    async fn a_bucket_without_records_has_none_to_check() {
        let check = SignatureCheck::start(SecretKey::from_seed(&[7; 32]), VecDeque::new());
        let none = tokio::time::timeout(Duration::from_millis(50), check.resigned());
        assert!(none.await.is_err());
    }
}
