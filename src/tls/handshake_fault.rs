//! What a failed handshake means, and what to do about it.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use rustls::{CertificateError, Error as TlsError};

/// Why a handshake with a server failed, as far as an operator can do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeFault {
    /// No CA that is trusted here has signed the server's certificate.
    WrongCa,
    /// The certificate is for other names than the one that was asked for.
    WrongName,
    /// The certificate is not valid any more, or not yet, by this machine's clock.
    Expired,
    /// The other side does not speak TLS.
    NoTls,
    /// Anything else: no common version, a kind of certificate that is not supported, a refusal by the other side.
    Other,
}

impl HandshakeFault {
    /// The fault among an error and its sources; none if it is not about TLS.
    #[must_use]
    pub fn of(error: &(dyn StdError + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(error) = error.downcast_ref::<TlsError>() {
                return Some(Self::of_tls(error));
            }
            // An I/O error shows its inner error's source as its own, and not the inner error.
            let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            if let Some(fault) = inner.and_then(|inner| Self::of(inner)) {
                return Some(fault);
            }
            next = error.source();
        }
        None
    }

    fn of_tls(error: &TlsError) -> Self {
        match error {
            // A CA of the same name with another key looks like a bad signature.
            TlsError::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
                Self::WrongCa
            }
            TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => Self::WrongName,
            TlsError::InvalidCertificate(
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. },
            ) => Self::Expired,
            TlsError::InvalidMessage(_) => Self::NoTls,
            _ => Self::Other,
        }
    }

    /// The fault in a text, for libraries that keep only the text of an error; none if it is not about TLS.
    #[must_use]
    pub fn of_text(text: &str) -> Option<Self> {
        let faults: [(&str, Self); 7] = [
            ("UnknownIssuer", Self::WrongCa),
            ("BadSignature", Self::WrongCa),
            ("certificate not valid for name", Self::WrongName),
            ("certificate expired", Self::Expired),
            ("certificate not valid yet", Self::Expired),
            ("received corrupt message", Self::NoTls),
            ("invalid peer certificate", Self::Other),
        ];
        faults.into_iter().find(|(words, _)| text.contains(words)).map(|(_, fault)| fault)
    }

    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::WrongCa => "wrong_ca",
            Self::WrongName => "wrong_name",
            Self::Expired => "certificate_expired",
            Self::NoTls => "no_tls",
            Self::Other => "tls_failed",
        }
    }

    /// What it means and what to do, where `ca_flag` names the file with the CA.
    #[must_use]
    pub const fn advice(self, ca_flag: &'static str) -> Advice {
        Advice { fault: self, ca_flag }
    }
}

/// One sentence for an operator.
#[derive(Clone, Copy, Debug)]
pub struct Advice {
    fault: HandshakeFault,
    ca_flag: &'static str,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flag = self.ca_flag;
        match self.fault {
            HandshakeFault::WrongCa => {
                write!(
                    f,
                    "no CA that is trusted here has signed the server's certificate; the CA's own belongs into the file of {flag}"
                )
            }
            HandshakeFault::WrongName => f.write_str(
                "the server's certificate is for another name; use a name that it has, or have one made with this name",
            ),
            HandshakeFault::Expired => f.write_str(
                "the server's certificate is not valid now; renew it there, or correct the clock of this machine",
            ),
            HandshakeFault::NoTls => f.write_str("the server does not speak TLS at this port"),
            HandshakeFault::Other => f.write_str("the TLS handshake failed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_found_however_deep_it_lies_and_by_its_text_alike() {
        let certificate = TlsError::InvalidCertificate;
        for (error, fault) in [
            (certificate(CertificateError::UnknownIssuer), HandshakeFault::WrongCa),
            (certificate(CertificateError::BadSignature), HandshakeFault::WrongCa),
            (certificate(CertificateError::Revoked), HandshakeFault::Other),
            (TlsError::InvalidMessage(rustls::InvalidMessage::InvalidContentType), HandshakeFault::NoTls),
        ] {
            assert_eq!(HandshakeFault::of_text(&error.to_string()), Some(fault), "{error}");
            let deep = io::Error::other(io::Error::other(error));
            assert_eq!(HandshakeFault::of(&deep), Some(fault), "{deep}");
        }
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!((HandshakeFault::of(&refused), HandshakeFault::of_text(&refused.to_string())), (None, None));
    }
}
