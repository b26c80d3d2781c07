//! Headwater.

pub mod machine;
