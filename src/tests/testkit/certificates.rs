//! A CA for one test, a server's certificate in files, and HTTP clients that trust the CA.

use std::path::{Path, PathBuf};

use lab::certificates::{CertificateAuthority, IssuedCertificate, ValidYears};
use tls::authorities::Authorities;
use tls::server_certificate::CertificateFiles;

/// A CA whose certificate lies in a folder.
pub struct TestAuthority {
    authority: CertificateAuthority,
    pub ca_file: PathBuf,
}

impl TestAuthority {
    /// A new CA; its certificate is `NAME.ca.pem` in `dir`.
    pub fn create(dir: &Path, name: &str) -> Self {
        let authority = CertificateAuthority::create().unwrap();
        let ca_file = dir.join(format!("{name}.ca.pem"));
        std::fs::write(&ca_file, authority.certificate()).unwrap();
        Self { authority, ca_file }
    }

    /// A certificate for these names.
    pub fn certificate(&self, names: &[&str], valid: ValidYears) -> IssuedCertificate {
        self.authority.issue(names, valid).unwrap()
    }

    /// Writes a certificate for these names.
    pub fn issue(&self, files: &CertificateFiles, names: &[&str], valid: ValidYears) {
        self.certificate(names, valid).write(&files.certificate, &files.key).unwrap();
    }
}

/// The files of a server's certificate in `dir`.
pub fn certificate_files(dir: &Path) -> CertificateFiles {
    CertificateFiles { certificate: dir.join("server.pem"), key: dir.join("server.key") }
}

/// An HTTP client that trusts the CA in a file, or nobody where TLS is not spoken.
pub fn http_client(ca_file: Option<&Path>) -> reqwest::ClientBuilder {
    let authorities = ca_file.map_or(Authorities::Nobody, |file| Authorities::File(file.to_owned()));
    reqwest::Client::builder().tls_backend_preconfigured(authorities.client_config().unwrap())
}
