//! The machine that we run on: its programs, processes, accounts, ports and private files.
//!
//! `headwater dev` and the test suite start real servers with what is here. Always: a child ends with the
//! process that started it; nothing is killed that was not started here; a server listens on the loopback
//! interface only. Absent on purpose: anything Headwater says or stores (no event, no subject, no schema).
//!
//! - [`find`] and [`version`]: which `postgres` and `nats-server` there are
//! - [`child`]: one process that ends with its parent
//! - [`supervise`]: one that is started again when it dies
//! - [`identity`]: which process a number meant, and clearing what a killed parent left
//! - [`postgres`] and [`nats`]: the two servers, and [`running`], one of them at work
//! - [`folder`]: the folder that they live in
//! - [`dev`] and [`demo`]: the two commands that start all of it
//! - [`account`], [`lock`], [`port`], [`private`]: what they stand on

pub mod account;
pub mod child;
pub mod demo;
pub mod dev;
mod error;
pub mod find;
pub mod folder;
mod home;
pub mod identity;
pub mod lock;
pub mod nats;
pub mod port;
pub mod postgres;
pub mod private;
pub mod running;
pub mod supervise;
pub mod version;

pub use error::Error;
