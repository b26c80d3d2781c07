//! Headwater: see the README for the picture. The modules are the rooms that touch something.

pub mod log;
pub mod nats;
pub mod project;
pub mod publish;
pub mod wal;
