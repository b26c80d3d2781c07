//! Headwater.

pub mod door;
