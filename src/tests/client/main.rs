//! Laws of the program as people have it: against a server that is not Headwater's, on a terminal, with an output that can't be
//! written, and against the whole that `headwater dev` starts.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

mod managed;
mod running;
mod server;
mod terminal;

mod applied;
mod broken;
mod console;
mod contexts;
mod demo;
mod dev;
mod examples;
mod exit_codes;
mod fleet;
mod fresh;
mod get;
mod import;
mod manifests;
mod manual;
mod pages;
mod printed;
mod reference;
mod rolled_out;
mod selected;
mod starting;
mod taken_back;
mod tls;
mod two_weeks;
mod unwritable;
mod wait;
