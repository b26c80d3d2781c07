//! The pure functions of Headwater: decide, fold, render, plan, and the convergence of a node.
//!
//! Deciding may refuse; folding and rendering never do. Nothing here waits, reads or writes anything, draws a random number or
//! reads a clock: time and random bytes come in with the command. The crate is `no_std`, so most of that would not even compile.
//! Maps are ordered, so that the same log gives the same bytes however its events were batched.
//!
//! Imports run one way. At the bottom are the parts of the state with their indexes ([`selector_index`], [`compliance`],
//! [`jobs`], [`proposals`], [`bundles`], [`rollouts`]); then the state that holds them ([`configuration`]), queries of the state ([`selection`], [`layers`], [`spec`],
//! [`render`], [`plain_contents`], [`outcome`]), the fold that changes it ([`fold`]), and at the top the decisions on commands ([`decide`], [`request`], [`expectation`]).
#![no_std]

extern crate alloc;

pub mod selector_index;

pub mod bundles;
pub mod compliance;
pub mod document;
pub mod identities;
pub mod jobs;
pub mod proposals;
pub mod release;
pub mod rollouts;

pub mod configuration;

pub mod aggregate;
pub mod decide;
pub mod expectation;
mod guard;
mod record_size;
pub mod refusal;
pub mod refusal_code;
mod release_effect;
pub mod request;
pub mod rollout_forecast;
pub mod rollout_refusal;
pub mod rollout_view;
mod warning;

pub mod convergence;
pub mod fold;

pub mod difference;
pub mod layers;
pub mod outcome;
pub mod plain_contents;
pub mod render;
pub mod selection;
pub mod spec;
pub mod taking_back;

pub mod plan;
