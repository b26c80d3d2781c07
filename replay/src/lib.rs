//! replay
#![no_std]
extern crate alloc;
