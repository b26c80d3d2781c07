//! Headwater.

pub mod dev;
pub mod machine;
