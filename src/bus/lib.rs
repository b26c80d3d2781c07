//! NATS: the connection, and reading objects.
//!
//! The one folder that other folders of `src` may use; it uses none of them. What always holds: nothing here waits without
//! a deadline, and reading creates no consumer.
//!
//! Absent on purpose: publishing (`src/server/publish`), watching (whoever watches), every name (`schema::address`).

pub mod connect;
pub mod objects;

mod connection_status;
