//! The machine that we run on: its programs, processes, accounts, ports and private files.
//!
//! `headwater dev` and the test suite start real servers with what is here. Always: a child ends with the
//! process that started it; nothing is killed that was not started here; a server listens on the loopback
//! interface only. Absent on purpose: anything Headwater says or stores (no event, no subject, no schema).
//!
//! - [`server_programs`] and [`version`]: which `postgres` and `nats-server` there are
//! - [`child`]: one process that ends with its parent
//! - [`supervisor`]: one that is started again when it dies
//! - [`identity`]: which process a number meant, and clearing what a killed parent left
//! - [`postgres`] and [`nats`]: the two servers, and [`running_server`], one of them at work
//! - [`folder`]: the folder that they live in
//! - [`dev`] and [`demo`]: the two commands that start all of it
//! - [`unprivileged_user`], [`dir_lock`], [`port`], [`private_file`]: what they stand on

pub mod child;
mod data_dir;
pub mod demo;
pub mod dev;
pub mod dir_lock;
mod error;
pub mod folder;
pub mod identity;
pub mod nats;
pub mod port;
pub mod postgres;
pub mod private_file;
pub mod running_server;
pub mod server_programs;
pub mod supervisor;
pub mod unprivileged_user;
pub mod version;

pub use error::Error;
