//! The laws of a runtime, on a real nats-server. The test plays the server, its claims as well as its records.

mod desk;

mod asking;
mod kills;
mod leases;
mod runs;
