//! The certificate of a listener, which is read again when its files change.
//!
//! Always: a handshake gets a certificate with its own key. A new pair that can't be used leaves the one before it in force, and
//! [`ServerCertificate::warning`] says why. Connections that are open stay open. The files are compared by their bytes, so it makes
//! no difference whether they are written, renamed, or reached through a link that is changed.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

use program::clock::system_time;
use program::tasks::run_blocking;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use schema::instant::Instant;
use tokio::time::{MissedTickBehavior, interval};

use crate::error::Error;
use crate::pem_file::{self, Validity};
use crate::provider::provider;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The two files of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, and after it those that lead to its CA.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// A certificate in force, and the files that it comes from. Cheap to clone; clones share it.
#[derive(Clone, Debug)]
pub struct ServerCertificate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    files: CertificateFiles,
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    in_force: Arc<CertifiedKey>,
    validity: Validity,
    /// What was read last, in force or not.
    read: Option<FileBytes>,
    /// Why what was read last is not in force.
    fault: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
struct FileBytes {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl FileBytes {
    fn read(files: &CertificateFiles) -> Result<Self, Error> {
        Ok(Self { certificate: pem_file::read(&files.certificate)?, key: pem_file::read(&files.key)? })
    }

    fn pair(&self, files: &CertificateFiles) -> Result<(Arc<CertifiedKey>, Validity), Error> {
        let chain = pem_file::certificates(&files.certificate, &self.certificate)?;
        let validity = Validity::of_all(&files.certificate, &chain)?;
        let key = pem_file::private_key(&files.key, &self.key)?;
        let pair = CertifiedKey::from_der(chain, key, &provider());
        let pair = pair.map_err(|why| Error::Pair {
            certificate: files.certificate.clone(),
            key: files.key.clone(),
            why: why.to_string(),
        })?;
        Ok((Arc::new(pair), validity))
    }
}

impl ServerCertificate {
    /// Reads both files.
    ///
    /// # Errors
    /// If one can't be read, or they are not a certificate and its key.
    pub fn load(files: CertificateFiles) -> Result<Self, Error> {
        let read = FileBytes::read(&files)?;
        let (in_force, validity) = read.pair(&files)?;
        let state = State { in_force, validity, read: Some(read), fault: None };
        Ok(Self(Arc::new(Shared { files, state: RwLock::new(state) })))
    }

    /// The configuration of a listener that shows this certificate, and speaks these protocols (ALPN).
    #[must_use]
    pub fn server_config(&self, protocols: &[&str]) -> ServerConfig {
        let versions = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let versions = versions.expect("BUG: ring supports TLS 1.2 and 1.3");
        let mut config = versions.with_no_client_auth().with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }

    /// Looks at the files every 2 s, for ever.
    pub async fn watch(self) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let looked = self.clone();
            run_blocking(move || looked.reload()).await;
        }
    }

    /// Reads the files, and puts what they hold in force if it is another pair and can be used.
    pub fn reload(&self) {
        let files = &self.0.files;
        let read = match FileBytes::read(files) {
            Ok(read) if self.state_is_of(&read) => return,
            Ok(read) => read,
            Err(error) => return self.keep_despite(None, &error),
        };
        match read.pair(files) {
            Ok((in_force, validity)) => {
                *self.state_mut() = State { in_force, validity, read: Some(read), fault: None };
                let expires = shown_time(validity.not_after);
                tracing::info!(file = %files.certificate.display(), expires, "certificate replaced");
            }
            Err(error) => self.keep_despite(Some(read), &error),
        }
    }

    fn state_is_of(&self, read: &FileBytes) -> bool {
        self.0.state.read().unwrap_or_else(PoisonError::into_inner).read.as_ref() == Some(read)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.0.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the certificate in force, and says once why the files are of no use.
    fn keep_despite(&self, read: Option<FileBytes>, error: &Error) {
        let why = match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        let mut state = self.state_mut();
        state.read = read;
        if state.fault.as_ref() != Some(&why) {
            tracing::warn!(error = why, "the new certificate can't be used; the old one stays in force");
            state.fault = Some(why);
        }
    }

    /// What an operator should know: a new pair that can't be used, or a certificate that is not valid now.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let state = self.0.state.read().unwrap_or_else(PoisonError::into_inner);
        let Validity { not_before, not_after } = state.validity;
        let (now, file) = (unix_now(), self.0.files.certificate.display());
        let kept = state.fault.as_ref().map(|why| {
            let until = shown_time(not_after);
            format!("the new certificate can't be used, and the old one, valid until {until}, stays in force: {why}")
        });
        let invalid = match (now < not_before, now > not_after) {
            (true, _) => Some(format!("the certificate in {file} is valid only from {}", shown_time(not_before))),
            (_, true) => Some(format!("the certificate in {file} expired at {}", shown_time(not_after))),
            _ => None,
        };
        let warnings: Vec<String> = kept.into_iter().chain(invalid).collect();
        (!warnings.is_empty()).then(|| warnings.join("; "))
    }

    /// Seconds until the first certificate of the file expires; below zero once it has.
    #[must_use]
    pub fn expires_in(&self) -> i64 {
        self.0.state.read().unwrap_or_else(PoisonError::into_inner).validity.not_after - unix_now()
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.state.read().unwrap_or_else(PoisonError::into_inner).in_force))
    }
}

fn unix_now() -> i64 {
    system_time().unix_micros().div_euclid(1_000_000)
}

fn shown_time(unix_seconds: i64) -> String {
    Instant::from_unix_micros(unix_seconds.saturating_mul(1_000_000)).to_string()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

    use super::*;
    use std::path::Path;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    fn files(dir: &Path) -> CertificateFiles {
        CertificateFiles { certificate: dir.join("tls.crt"), key: dir.join("tls.key") }
    }

    /// A pair that is valid until the end of this year.
    fn pair(year: i32) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 12, 31);
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    fn write(files: &CertificateFiles, certificate: &str, key: &str) {
        std::fs::write(&files.certificate, certificate).unwrap();
        std::fs::write(&files.key, key).unwrap();
    }

    fn in_force(certificate: &ServerCertificate) -> Vec<u8> {
        certificate.0.state.read().unwrap().in_force.cert[0].to_vec()
    }

    #[test]
    fn a_new_pair_is_put_in_force_and_a_broken_one_leaves_the_old() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(dir.path());
        let ((first, first_key), (second, second_key)) = (pair(2900), pair(2901));
        write(&files, &first, &first_key);
        let certificate = ServerCertificate::load(files.clone()).unwrap();
        let old = in_force(&certificate);
        assert_eq!(certificate.warning(), None);
        for (broken, broken_key, word) in [
            (&*second, &*first_key, "can't be used together"),
            ("no certificate", &*second_key, "has no certificate"),
            (&*second, "no key", "has no private key"),
        ] {
            write(&files, broken, broken_key);
            certificate.reload();
            let warning = certificate.warning().unwrap();
            assert!(
                in_force(&certificate) == old && warning.contains(word) && warning.contains("2900-12-31"),
                "{warning}"
            );
        }
        std::fs::remove_file(&files.key).unwrap();
        certificate.reload();
        assert!(in_force(&certificate) == old && certificate.warning().unwrap().contains("can't be read"));
        write(&files, &second, &second_key);
        certificate.reload();
        assert!(in_force(&certificate) != old && certificate.warning().is_none());
    }

    #[test]
    fn a_pair_is_replaced_through_a_link_to_its_folder_as_kubernetes_does_it() {
        let dir = tempfile::tempdir().unwrap();
        for (name, year) in [("1", 2900), ("2", 2901)] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
            let (certificate, key) = pair(year);
            write(&files(&dir.path().join(name)), &certificate, &key);
        }
        let point_at = |name: &str| {
            std::os::unix::fs::symlink(name, dir.path().join("new")).unwrap();
            std::fs::rename(dir.path().join("new"), dir.path().join("data")).unwrap();
        };
        point_at("1");
        let certificate = ServerCertificate::load(files(&dir.path().join("data"))).unwrap();
        let old = in_force(&certificate);
        certificate.reload();
        assert_eq!(in_force(&certificate), old);
        point_at("2");
        certificate.reload();
        assert_ne!(in_force(&certificate), old);
    }

    #[test]
    fn an_expired_certificate_is_served_with_a_warning() {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = pair(2001);
        write(&files(dir.path()), &certificate, &key);
        let certificate = ServerCertificate::load(files(dir.path())).unwrap();
        assert!(certificate.expires_in() < 0);
        assert!(certificate.warning().unwrap().contains("expired at 2001-12-31"));
    }
}
