//! The cryptography of every TLS session of this program.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};

/// `ring`: the only one that is linked.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Makes it that of the whole process. A program calls this before anything else: libraries that make their own sessions (the client
/// of NATS) ask for the process's, and panic if there is none to choose.
pub fn install() {
    // It fails if it is installed already, which changes nothing.
    let _ = ring::default_provider().install_default();
}
