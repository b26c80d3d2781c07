//! The system under faults: real servers, a random load, a fault in its midst, and after it the law.
//!
//! Each scenario is a row of one of the tables here: how the stage is set, what is done, how it is undone. What happens and
//! when follows from one seed, which is printed; `FAULT_SEED=… cargo nextest run --test faults SCENARIO` plays it again.
//! `make faults` plays the long form: every scenario with several seeds, faults that last as long as in earnest, and a
//! table of what users saw meanwhile. Whoever checks shares no code with whoever is checked: the log is read by SQL, the
//! stream and the buckets by a plain consumer, the nodes' disks by hand.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

mod anew;
mod claims;
mod clock;
mod cluster;
mod damaged;
mod disks;
mod ending;
mod foreign;
mod hooks;
mod identities;
mod links;
mod many;
mod nats;
mod places;
mod postgres;
mod pressure;
mod processes;
mod proof;
mod proposing;
mod reader;
mod restore;
mod rollouts;
mod slot;
mod story;
mod wire;
mod witness;
