//! A certificate authority of this machine, and the certificates that it signs.
//!
//! Its key is in memory only: nobody can have more signed once the process has ended.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd};

use super::{Error, private_file};

/// The years in which a certificate is valid, the first of January of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValidYears {
    /// Valid from its beginning.
    pub from: i32,
    /// Not valid any more from its beginning.
    pub until: i32,
}

impl ValidYears {
    /// As good as always, whatever the clock of this machine says.
    pub const ALL: Self = Self { from: 1975, until: 2900 };
}

/// A CA.
pub struct CertificateAuthority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// A certificate and its key, as PEM.
#[derive(Clone, Debug)]
pub struct IssuedCertificate {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl CertificateAuthority {
    /// A new CA.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub fn create() -> Result<Self, Error> {
        let mut params = params(&[], ValidYears::ALL, "Headwater's CA of this machine")?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    /// Its certificate, as PEM: what clients have to trust.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A certificate for these names, which may be IP addresses.
    ///
    /// # Errors
    /// If a name is none, or the system gives no random bytes.
    pub fn issue(&self, names: &[&str], valid: ValidYears) -> Result<IssuedCertificate, Error> {
        let key = KeyPair::generate()?;
        let params = params(names, valid, names.first().copied().unwrap_or_default())?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(IssuedCertificate { certificate, key: key.serialize_pem() })
    }
}

impl IssuedCertificate {
    /// Replaces both files, readable by their owner only.
    ///
    /// # Errors
    /// If one can't be written.
    pub fn write(&self, certificate: &Path, key: &Path) -> Result<(), Error> {
        private_file::write(key, self.key.as_bytes())?;
        private_file::write(certificate, self.certificate.as_bytes())
    }
}

fn params(names: &[&str], valid: ValidYears, common_name: &str) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = date_time_ymd(valid.from, 1, 1);
    params.not_after = date_time_ymd(valid.until, 1, 1);
    Ok(params)
}
