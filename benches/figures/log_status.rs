//! What a server says of its log, asked until it is so.

use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::fleet::Fleet;

use crate::Result;

/// Nothing here takes longer.
const WITHIN: Duration = Duration::from_secs(300);
const ASK_EVERY: Duration = Duration::from_millis(25);

/// Waits until this is true of what the server says of the log.
pub(crate) async fn until(fleet: &Fleet, is_so: impl Fn(&Value) -> bool) -> Result<()> {
    let deadline = Instant::now() + WITHIN;
    loop {
        let log = fleet.api().get("/v1/log").await?.body;
        if is_so(&log) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("it did not come true in time: {log}").into());
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}
