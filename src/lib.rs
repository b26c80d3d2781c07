//! Headwater.
pub mod edge;
pub mod nats;
pub mod node;
