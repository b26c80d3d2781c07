//! The CA and the certificates of one `headwater dev --tls`. They are made anew at each start, and the CA's key is nowhere.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use tls::server_certificate::CertificateFiles;

use crate::certificates::{CertificateAuthority, IssuedCertificate, ValidYears};
use crate::folder::Folder;
use crate::nats::NatsCertificate;
use crate::{Error as LabError, private_file};

/// Where clients find this machine.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// A CA and three certificates.
#[derive(Clone, Debug)]
pub(super) struct DevCertificates {
    /// The file with the CA, for clients.
    pub(super) ca_file: PathBuf,
    /// The files of the HTTP API.
    pub(super) http: CertificateFiles,
    pub(super) postgres: IssuedCertificate,
    pub(super) nats: NatsCertificate,
}

impl DevCertificates {
    /// Makes them, and writes those that files are needed of. `http` is the address of the HTTP API, if one was asked for.
    pub(super) fn create(folder: &Folder, http: Option<SocketAddr>) -> Result<Self, LabError> {
        let dir = folder.path().join("tls");
        private_file::folder(&dir, None)?;
        let authority = CertificateAuthority::create()?;
        let ca_file = dir.join("ca.pem");
        private_file::write(&ca_file, authority.certificate().as_bytes())?;
        let http_ip = http.map(|http| http.ip()).filter(|ip| !ip.is_unspecified()).as_ref().map(IpAddr::to_string);
        let http_names: Vec<&str> = LOOPBACK.into_iter().chain(http_ip.as_deref()).collect();
        let files = CertificateFiles { certificate: dir.join("http.pem"), key: dir.join("http.key") };
        authority.issue(&http_names, ValidYears::ALL)?.write(&files.certificate, &files.key)?;
        let issued = authority.issue(&LOOPBACK, ValidYears::ALL)?;
        Ok(Self {
            ca_file,
            http: files,
            postgres: authority.issue(&LOOPBACK, ValidYears::ALL)?,
            nats: NatsCertificate { issued, authority: authority.certificate().to_owned() },
        })
    }
}
