//! A person's client of the door: what every command that speaks to a server speaks through.
//!
//! Always: whatever is refused comes back as one error with the door's own code, field and words; a request that has a key
//! may be sent again, and only such a one is; whatever answers, memory is bounded. Absent on purpose: any meaning of what is asked; the commands know it.

mod answer;
pub mod door;
pub mod error;
pub mod place;
pub mod stream;

pub mod events;
pub mod get;
pub mod health;
pub mod impact;
pub mod import;
pub mod oscal;
pub mod token;
pub mod why;
