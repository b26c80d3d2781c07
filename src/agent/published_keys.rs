//! Trust on first use: reads the log's public key from bucket `cfg_keys`.
//!
//! Until a key is pinned, anyone who can write that bucket can choose the key, which is why `--trust` exists. Afterwards only the
//! pinned key counts.

use std::time::Duration;

use async_nats::jetstream::stream::DirectGetErrorKind;
use bus::connect::Link;
use schema::address::{Bucket, Prefix};
use schema::seal::{PublicKey, PublicKeyRecord};
use schema::wire::WireRecord as _;

use crate::apply_error::ApplyError;
use crate::node_state::PinnedKey;

/// How long one answer of NATS may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How many keys are read.
const KEYS_MAX: usize = 16;

/// The only key in NATS.
///
/// # Errors
/// If there is no key or more than one, or NATS does not answer.
pub async fn only_key(link: &Link, prefix: &Prefix) -> Result<PinnedKey, ApplyError> {
    if !link.is_up() {
        return Err(ApplyError::NatsUnreachable(link.unreachable_reason()));
    }
    let mut keys = all_keys(link, prefix).await?;
    match (keys.pop(), keys.len()) {
        (Some(key), 0) => Ok(key),
        (None, _) => Err(ApplyError::NoTrustedKey("the server has published none; give --trust".to_owned())),
        (Some(_), more) => {
            Err(ApplyError::NoTrustedKey(format!("the server has published {}; choose one with --trust", more + 1)))
        }
    }
}

async fn all_keys(link: &Link, prefix: &Prefix) -> Result<Vec<PinnedKey>, ApplyError> {
    let why = |why: &dyn std::fmt::Display| ApplyError::NoTrustedKey(format!("bucket of keys: {why}"));
    let stream = link.jetstream().get_stream_no_info(prefix.bucket_stream(Bucket::Keys)).await;
    let stream = stream.map_err(|error| why(&error))?;
    let (mut keys, mut next) = (Vec::new(), 1);
    while keys.len() < KEYS_MAX {
        let read = stream.direct_get_next_for_subject(prefix.bucket_subjects(Bucket::Keys), Some(next));
        let message = match tokio::time::timeout(ANSWER_WITHIN, read).await {
            Ok(Ok(message)) => message,
            Ok(Err(error)) if error.kind() == DirectGetErrorKind::NotFound => break,
            Ok(Err(error)) => return Err(why(&error)),
            Err(_) => return Err(why(&"NATS did not answer within 5 s")),
        };
        next = message.sequence + 1;
        // A deleted key leaves a message without content.
        if !message.payload.is_empty() {
            keys.push(key_in(&message.payload).map_err(|fault| why(&fault))?);
        }
    }
    Ok(keys)
}

fn key_in(bytes: &[u8]) -> Result<PinnedKey, String> {
    let record = PublicKeyRecord::read(bytes).map_err(|error| error.to_string())?;
    let key = PublicKey::from_bytes(&record.key).map_err(|fault| fault.detail)?;
    if key.id() != record.key_id {
        return Err("a key does not have the id that it says".to_owned());
    }
    Ok(PinnedKey(key))
}
