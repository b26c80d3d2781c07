//! What follows: the pure verbs of Headwater.
//!
//! Deciding may refuse; folding and rendering never do. Nothing here waits, touches, draws a random number or knows what
//! time it is: all of that comes in with the command. The crate is `no_std`, so most of it does not even compile here.
//! Maps are ordered, so that the same log gives the same bytes however its events were batched.
#![no_std]

extern crate alloc;

pub mod configuration;
pub mod reach;

pub mod compliance;
pub mod jobs;
pub mod spec;

pub mod aggregate;
pub mod decide;
pub mod refusal;
pub mod request;

pub mod fold;

pub mod layers;
pub mod render;

pub mod plan;
