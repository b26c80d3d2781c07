//! The time by the clock of NATS, which is part of the answer to a stream info request.

use async_nats::jetstream::Context;
use async_nats::jetstream::response::Response;
use schema::address::Prefix;
use schema::instant::Instant;
use serde::Deserialize;

use super::Error;

/// The part of the answer that is read.
#[derive(Deserialize)]
struct StreamState {
    /// The time of the server that answers, RFC 3339.
    ts: String,
}

/// The time of the NATS server that leads the event stream.
///
/// # Errors
/// If NATS does not answer, or the stream is not there.
pub async fn read(jetstream: &Context, prefix: &Prefix) -> Result<Instant, Error> {
    let name = prefix.event_stream();
    let failed = |why: &dyn std::fmt::Display| Error::nats(format!("the time of stream {name}"), why);
    let asked = jetstream.request(format!("STREAM.INFO.{name}"), &()).await;
    match asked.map_err(|error| failed(&error))? {
        Response::Ok(StreamState { ts }) => Instant::parse_clamped(&ts).map_err(|invalid| failed(&invalid.detail)),
        Response::Err { error } => Err(failed(&error)),
    }
}
