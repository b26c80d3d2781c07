//! Headwater: see the README for the picture. A folder is one thing touched; a file beside it is one order of touches.

pub mod backoff;
pub mod client;
pub mod config;
pub mod demo;
pub mod dev;
pub mod door;
pub mod edge;
pub mod health;
pub mod install;
pub mod join;
pub mod log;
pub mod machine;
pub mod nats;
pub mod node;
pub mod password;
pub mod project;
pub mod publish;
pub mod reconcile;
pub mod runtime;
pub mod serve;
pub mod telemetry;
pub mod token;
pub mod wal;
