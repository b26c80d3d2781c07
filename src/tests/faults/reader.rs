//! The independent reader: what every node had to hold after each request, worked out from the table alone, and what
//! the buckets hold, read by a plain consumer.

use std::collections::BTreeMap;

use async_nats::jetstream::Context;
use bus::connect::connect;
use schema::desired::Desired;
use schema::report::Reported;
use schema::seal::SignedRecord;
use schema::wire::WireRecord as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio_postgres::{Client, NoTls};

use testkit::backends::TestBackends;
use testkit::law::Line;

/// The digest that was desired of every node after each request, in hex, by the position of each of its events.
///
/// It holds for documents that are for all nodes, which are those of the load.
pub(crate) fn desired(log: &[Line]) -> BTreeMap<u64, String> {
    let mut documents: BTreeMap<&str, (String, Vec<u8>)> = BTreeMap::new();
    let mut digests = BTreeMap::new();
    let mut begun = Vec::new();
    for (index, line) in log.iter().enumerate() {
        match line.kind.as_str() {
            "DocumentPut" => {
                let data: Value = serde_json::from_str(&line.data).unwrap();
                assert_eq!(data["target"]["all"], true, "a document for some is none of the load's");
                let digest = hex::decode(data["digest"].as_str().unwrap()).unwrap();
                documents.insert(&line.entity, (data["path"].as_str().unwrap().to_owned(), digest));
            }
            "DocumentRemoved" => drop(documents.remove(line.entity.as_str())),
            _ => {}
        }
        begun.push(line.position);
        if log.get(index + 1).is_none_or(|next| next.command_id != line.command_id) {
            let digest = digest_of(documents.values());
            digests.extend(begun.drain(..).map(|position| (position, digest.clone())));
        }
    }
    digests
}

/// SHA-256 over the files by path of the path's length, the path and the content's digest.
fn digest_of<'a>(files: impl Iterator<Item = &'a (String, Vec<u8>)>) -> String {
    let mut files: Vec<_> = files.collect();
    files.sort();
    let mut hasher = Sha256::new();
    for (path, digest) in files {
        hasher.update(u32::try_from(path.len()).unwrap().to_be_bytes());
        hasher.update(path);
        hasher.update(digest);
    }
    hex::encode(hasher.finalize())
}

/// A session of the superuser, for as long as it lasts.
pub(crate) async fn session(url: &str) -> Result<Client, String> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    Ok(client)
}

/// Asks one value as text; nothing for no row and for NULL.
pub(crate) async fn ask(url: &str, query: &str) -> Result<Option<String>, String> {
    let row = session(url).await?.query_opt(&format!("SELECT ({query})::text"), &[]).await;
    Ok(row.map_err(|error| format!("{error:?}"))?.and_then(|row| row.get(0)))
}

/// Where the log ends.
pub(crate) async fn head(url: &str) -> Result<u64, String> {
    let head = ask(url, "SELECT position FROM log_head").await?;
    head.and_then(|head| head.parse().ok()).ok_or_else(|| "there is no head".to_owned())
}

/// The last sequence of stream `cfg_events`.
pub(crate) async fn stream_end(url: &str) -> Result<u64, String> {
    let link = connect(url, "test").await.unwrap();
    let stream = link.jetstream().get_stream("cfg_events").await.map_err(|error| error.to_string())?;
    Ok(stream.cached_info().state.last_sequence)
}

/// What the buckets say of a node: the digest that is desired of it, and the one that it says it runs.
pub(crate) async fn buckets(backends: &TestBackends, node: &str) -> Result<(String, String), String> {
    let link = connect(&backends.nats_url(), "test").await.unwrap();
    link.up().await;
    let jetstream = link.jetstream();
    let signed =
        SignedRecord::read(&last(&jetstream, "cfg_desired", node).await?).map_err(|error| error.to_string())?;
    let desired = Desired::read(&signed.body).map_err(|error| error.to_string())?;
    let said = Reported::read(&last(&jetstream, "cfg_reported", node).await?).map_err(|error| error.to_string())?;
    let runs = said.running.map(|record_ref| record_ref.digest.to_string()).unwrap_or_default();
    Ok((desired.digest.to_string(), runs))
}

async fn last(jetstream: &Context, bucket: &str, key: &str) -> Result<Vec<u8>, String> {
    let stream = jetstream.get_stream(format!("KV_{bucket}")).await.map_err(|error| error.to_string())?;
    let message = stream.get_last_raw_message_by_subject(&format!("$KV.{bucket}.{key}")).await;
    Ok(message.map_err(|error| error.to_string())?.payload.to_vec())
}
