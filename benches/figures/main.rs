//! Figures of the whole path on real servers, as a table. Every ratio is taken in one run, its two sides in turn, with the
//! time of an fsync beside it: on shared machines that swings more than anything that is measured here.
//!
//! `cargo bench --bench figures` (add `-- appender`, `commands`, `relay`, `published`, `latency`, `audit`, `claims`, `import`, `plans`, `rollouts`, `fleet` or `restart` for one of them; of identities on
//! NATS `watching`, `admission`, `signing`, `keys` or `objects`)

mod admission;
mod appender;
mod audit;
mod bare_publisher;
mod bench_log;
mod claims;
mod commands;
mod fleet;
mod fsync;
mod idle_node;
mod import;
mod keep_alive;
mod latency;
mod light_node;
mod log_status;
mod objects;
mod plans;
mod process;
mod published;
mod relay;
mod restart;
mod rollouts;
mod signing;
mod single_rows;
mod times;
mod watching;

use std::error::Error;

/// One line of the table.
pub(crate) struct Figure {
    pub(crate) what: String,
    pub(crate) value: String,
    pub(crate) beside: String,
}

impl Figure {
    pub(crate) fn new(what: impl Into<String>, value: impl Into<String>, beside: impl Into<String>) -> Self {
        Self { what: what.into(), value: value.into(), beside: beside.into() }
    }
}

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let wants = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        if wants("appender") {
            print("The appender against single-row transactions", appender::figures().await?);
        }
        if wants("commands") {
            print("Commands over HTTP against single-row transactions", commands::figures().await?);
        }
        if wants("relay") {
            print("The write-ahead log to folded state against pg_recvlogical", relay::figures().await?);
        }
        if wants("published") {
            print("The write-ahead log to acknowledged in NATS against a bare pair", published::figures().await?);
        }
        if wants("latency") {
            print("Commit to file switched, one idle node", latency::figures().await?);
        }
        if wants("audit") {
            print("An audit of a million events", audit::figures().await?);
        }
        if wants("claims") {
            print("A hundred runtimes claiming ten jobs each", claims::figures().await?);
        }
        if wants("import") {
            print("An import of OSCAL in one command", import::figures().await?);
        }
        if wants("plans") {
            print("Requests that come with a plan", plans::figures().await?);
        }
        if wants("rollouts") {
            print("Rollouts over ten thousand nodes", rollouts::figures().await?);
        }
        if wants("fleet") {
            print("Ten thousand nodes and a hundred thousand", fleet::figures().await?);
        }
        if wants("restart") {
            print("Restarts of a server", restart::figures().await?);
        }
        if wants("watching") {
            print("A thousand nodes that watch their records", watching::figures().await?);
        }
        if wants("admission") {
            print("A thousand nodes that connect at once", admission::figures().await?);
        }
        if wants("signing") {
            print("Signed reports, at the node and at the server", signing::figures().await?);
        }
        if wants("keys") {
            print("Commit to file switched, with keys and with one password", latency::by_keys().await?);
        }
        if wants("objects") {
            print("Content of 4 MiB from the object store", objects::figures().await?);
        }
        Ok(())
    })
}

fn print(title: &str, figures: Vec<Figure>) {
    println!("\n{title} (load {} at the end)", process::load());
    for Figure { what, value, beside } in figures {
        println!("  {what:<58} {value:>14}   {beside}");
    }
}
