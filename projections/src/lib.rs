//! The pure functions of Headwater: decide, fold, render, plan, and the convergence of a node.
//!
//! Deciding may refuse; folding and rendering never do. Nothing here waits, touches, draws a random number or knows what
//! time it is: all of that comes in with the command. The crate is `no_std`, so most of it does not even compile here.
//! Maps are ordered, so that the same log gives the same bytes however its events were batched.
//!
//! Imports run one way. At the bottom is what is known, with its indexes ([`selector_index`], [`compliance`], [`jobs`]); then the
//! state that holds it ([`configuration`]), what is asked of that ([`selection`], [`layers`], [`spec`], [`render`]), what
//! changes it ([`fold`]), and at the top what wants a change ([`decide`], [`request`]).
#![no_std]

extern crate alloc;

pub mod selector_index;

pub mod compliance;
pub mod jobs;

pub mod configuration;

pub mod aggregate;
pub mod decide;
pub mod refusal;
pub mod refusal_code;
pub mod request;
mod warning;

pub mod convergence;
pub mod fold;

pub mod layers;
pub mod render;
pub mod selection;
pub mod spec;

pub mod plan;
