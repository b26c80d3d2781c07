//! Headwater: see the README for the picture. The modules are the rooms that touch something, and the orders of touches.

pub mod dev;
pub mod edge;
pub mod log;
pub mod machine;
pub mod nats;
pub mod node;
pub mod project;
pub mod publish;
pub mod wal;
