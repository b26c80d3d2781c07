//! Private PostgreSQL and NATS servers and supervised processes on this machine, for `headwater dev`, `headwater demo` and tests.
//!
//! Invariants: a child ends with the process that started it; only processes that were started here are killed; servers listen on
//! the loopback interface only. Not here: events, NATS names and SQL of Headwater.
//!
//! - [`server_programs`] and [`version`]: which `postgres` and `nats-server` there are
//! - [`child`]: a process that ends with its parent
//! - [`supervisor`]: a child that is restarted when it dies
//! - [`identity`]: the process behind a pid, and ending what a killed parent left running
//! - [`postgres`] and [`nats`]: the two servers; [`running_server`]: one of them as a process
//! - [`folder`]: the folder with their files; [`certificates`]: a CA of this machine
//! - [`dev`] and [`demo`]: the two commands
//! - [`unprivileged_user`], [`dir_lock`], [`port`], [`private_file`]: used by the others

pub mod certificates;
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
