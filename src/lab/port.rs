//! Free ports of the loopback interface.
//!
//! A port is free if it can be bound now. Another process may take it before the server does: then the server fails to start and
//! is restarted.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Mutex, PoisonError};

use super::Error;

/// Ports that this process gave out: two servers that are starting must not get the same one.
static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);

/// `preferred` if it is free, else any free port.
pub fn free(preferred: Option<u16>) -> Result<u16, Error> {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let given = given.get_or_insert_default();
    if let Some(port) = preferred.filter(|port| is_free(*port)) {
        given.insert(port);
        return Ok(port);
    }
    loop {
        let port = bind(0).map_err(Error::NoPort)?;
        if given.insert(port) {
            return Ok(port);
        }
    }
}

fn is_free(port: u16) -> bool {
    port != 0 && bind(port).is_ok()
}

fn bind(port: u16) -> std::io::Result<u16> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    Ok(listener.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

    use super::*;

    #[test]
    fn a_port_in_use_is_not_given_and_a_free_one_is_given_again() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert_ne!(free(Some(port)).unwrap(), port);
        drop(taken);
        assert_eq!(free(Some(port)).unwrap(), port);
    }
}
