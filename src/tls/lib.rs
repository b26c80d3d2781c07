//! TLS, for every program that connects or listens.
//!
//! - [`authorities`]: whom a client trusts: the CA in a file, or those of the system. There is no way to verify nothing.
//! - [`server_certificate`]: the certificate of a listener, which is read again when its files change.
//! - [`handshake_fault`]: what a failed handshake means, and what to do about it.
//! - [`plain`]: the rule that nothing leaves this machine without TLS unless somebody says so.
//! - [`provider`]: the cryptography behind all of it, which is `ring`.
//!
//! Not here: sockets, and what is spoken over them.

pub mod authorities;
pub mod error;
pub mod handshake_fault;
pub mod plain;
pub mod provider;
pub mod server_certificate;

mod pem_file;
