//! projections
#![no_std]
extern crate alloc;
