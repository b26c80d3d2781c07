//! What NATS's clock says: whoever asks for a stream's state is told when it was so.

use async_nats::jetstream::Context;
use async_nats::jetstream::response::Response;
use schema::address::Prefix;
use schema::instant::Instant;
use serde::Deserialize;

use super::Error;

/// What is read of a stream's state.
#[derive(Deserialize)]
struct StreamState {
    /// When it was so, by the clock of the server that answers.
    ts: String,
}

/// What the clock of the server says that holds the event stream.
///
/// # Errors
/// If NATS does not answer, or the stream is not there.
pub async fn read(jetstream: &Context, prefix: &Prefix) -> Result<Instant, Error> {
    let name = prefix.event_stream();
    let failed = |why: &dyn std::fmt::Display| Error::nats(format!("the time of stream {name}"), why);
    let asked = jetstream.request(format!("STREAM.INFO.{name}"), &()).await;
    match asked.map_err(|error| failed(&error))? {
        Response::Ok(StreamState { ts }) => Instant::nearest(&ts).map_err(|invalid| failed(&invalid.detail)),
        Response::Err { error } => Err(failed(&error)),
    }
}
