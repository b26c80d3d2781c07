//! Whom a client trusts.
//!
//! Always: the chain and the name of a server are verified. Files are read each time that a configuration is made, so a CA can be
//! replaced without a restart.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

use crate::error::Error;
use crate::pem_file;
use crate::provider::provider;

/// The CAs whose certificates count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorities {
    /// Those that the operating system trusts.
    System,
    /// Those in this PEM file, and no others.
    File(PathBuf),
    /// None: for a client that speaks no TLS.
    Nobody,
}

impl From<Option<&Path>> for Authorities {
    fn from(file: Option<&Path>) -> Self {
        file.map_or(Self::System, |file| Self::File(file.to_owned()))
    }
}

impl Authorities {
    /// The configuration of a client that trusts them.
    ///
    /// # Errors
    /// If the file can't be read or has no CA in it, or the system has none.
    pub fn client_config(&self) -> Result<ClientConfig, Error> {
        let roots = self.roots()?;
        let versions = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let versions = versions.expect("BUG: ring supports TLS 1.2 and 1.3");
        Ok(versions.with_root_certificates(Arc::new(roots)).with_no_client_auth())
    }

    fn roots(&self) -> Result<RootCertStore, Error> {
        let mut roots = RootCertStore::empty();
        match self {
            Self::Nobody => {}
            Self::System => {
                let found = rustls_native_certs::load_native_certs();
                // A store may have certificates that are too odd to be used; the others count.
                let (added, _) = roots.add_parsable_certificates(found.certs);
                if added == 0 {
                    let why = found.errors.first().map_or_else(|| "none was found".to_owned(), ToString::to_string);
                    return Err(Error::NoSystemStore(why));
                }
            }
            Self::File(file) => {
                let certificates = pem_file::certificates(file, &pem_file::read(file)?)?;
                for (index, certificate) in certificates.into_iter().enumerate() {
                    let added = roots.add(certificate);
                    added.map_err(|why| Error::Certificate {
                        file: file.clone(),
                        number: index + 1,
                        why: why.to_string(),
                    })?;
                }
            }
        }
        Ok(roots)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

    use super::*;

    #[test]
    fn a_file_without_a_ca_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        let refused = |text: Option<&str>| {
            text.inspect(|text| std::fs::write(&file, text).unwrap());
            Authorities::File(file.clone()).client_config().unwrap_err()
        };
        assert!(matches!(refused(None), Error::Read(..)));
        assert!(matches!(refused(Some("")), Error::NoCertificate(_)));
        assert!(matches!(refused(Some("-----BEGIN CERTIFICATE-----\n$\n-----END CERTIFICATE-----\n")), Error::Pem(..)));
        let odd = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(refused(Some(odd)), Error::Certificate { number: 1, .. }));
    }
}
