//! Certificates and keys in PEM files.

use std::path::Path;

use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use crate::error::Error;

/// The bytes of a file.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(file).map_err(|error| Error::Read(file.to_owned(), error))
}

/// All certificates in a file, in its order; there is at least one.
pub(crate) fn certificates(file: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    let found = found.map_err(|error| Error::Pem(file.to_owned(), error))?;
    if found.is_empty() {
        return Err(Error::NoCertificate(file.to_owned()));
    }
    Ok(found)
}

/// The private key in a file.
pub(crate) fn private_key(file: &Path, bytes: &[u8]) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_slice(bytes).map_err(|error| match error {
        pem::Error::NoItemsFound => Error::NoKey(file.to_owned()),
        error => Error::Pem(file.to_owned(), error),
    })
}

/// From when to when a certificate is valid, as unix time in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
}

impl Validity {
    /// The time in which all certificates of a file are valid.
    pub(crate) fn of_all(file: &Path, certificates: &[CertificateDer<'_>]) -> Result<Self, Error> {
        let mut all = Self { not_before: i64::MIN, not_after: i64::MAX };
        for (index, certificate) in certificates.iter().enumerate() {
            let read = Certificate::from_der(certificate);
            let why = |why: x509_cert::der::Error| Error::Certificate {
                file: file.to_owned(),
                number: index + 1,
                why: why.to_string(),
            };
            let validity = read.map_err(why)?.tbs_certificate.validity;
            let seconds = |time: x509_cert::time::Time| {
                i64::try_from(time.to_unix_duration().as_secs()).expect("BUG: a year of four digits")
            };
            all.not_before = all.not_before.max(seconds(validity.not_before));
            all.not_after = all.not_after.min(seconds(validity.not_after));
        }
        Ok(all)
    }
}
