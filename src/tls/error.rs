//! Why files can't be used for TLS.

use std::path::PathBuf;

/// A certificate, a key or a CA that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be read.
    #[error("{0} can't be read")]
    Read(PathBuf, #[source] std::io::Error),
    /// The file is no PEM.
    #[error("{0} is damaged: a PEM file is expected")]
    Pem(PathBuf, #[source] rustls::pki_types::pem::Error),
    /// The file has no certificate in it.
    #[error("{0} has no certificate in it: a PEM file with -----BEGIN CERTIFICATE----- is expected")]
    NoCertificate(PathBuf),
    /// The file has no private key in it.
    #[error("{0} has no private key in it: a PEM file with -----BEGIN PRIVATE KEY----- and no passphrase is expected")]
    NoKey(PathBuf),
    /// A certificate can't be read.
    #[error("certificate {number} in {file} can't be read: {why}")]
    Certificate {
        /// Which file.
        file: PathBuf,
        /// Which of its certificates, from 1.
        number: usize,
        /// What is wrong.
        why: String,
    },
    /// Certificate and key are not a pair, or the key is of a kind that is not supported.
    #[error("the certificate in {certificate} and the key in {key} can't be used together: {why}")]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why not.
        why: String,
    },
    /// The system has no certificates of CAs.
    #[error("this system has no certificates of CAs ({0}): install them (package ca-certificates), or name a file")]
    NoSystemStore(String),
}
