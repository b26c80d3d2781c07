//! Who may come into NATS. nats-server asks for each connection that it does not know itself (auth callout), and the answer follows from
//! the state of the log and nothing else.
//!
//! - [`judgement`] decides, [`auth_message`] reads the question and writes the answer.
//! - [`answerer`] answers nats-server, [`warden`] cuts connections that are not let in any more; [`parts`] connects both.
//! - [`joining`] turns what a joiner asks for into a command.

pub mod answerer;
pub mod auth_message;
pub mod joining;
pub mod judgement;
pub mod parts;
pub mod warden;

pub use self::parts::Admission;
