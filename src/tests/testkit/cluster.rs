//! PostgreSQL clusters of tests: each is a copy of one that was initialised once.
//!
//! Under nextest a test is a process and shares nothing with others, so what they share lies in a folder: a cluster that
//! nobody ever starts, beside the programs of this build. Whoever comes first makes it; it is moved into place whole.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use lab::certificates::IssuedCertificate;
use lab::postgres::{self, Cluster, Options};
use lab::running_server::RunningServer;
use lab::unprivileged_user::UnprivilegedUser;
use lab::{Error, server_programs};
use rustix::fs::{FlockOperation, flock};

use crate::programs;

/// Starts a cluster of the test's own below a folder. It is removed when dropped.
pub async fn start(dir: &Path, settings: &[(&str, &str)]) -> Result<RunningServer<Cluster>, Error> {
    Cluster::start_copy(&initialised().await?, dir, settings, None).await
}

/// The same, with a certificate.
pub async fn start_tls(dir: &Path, certificate: &IssuedCertificate) -> Result<RunningServer<Cluster>, Error> {
    Cluster::start_copy(&initialised().await?, dir, &[], Some(certificate)).await
}

/// The home of a cluster that was initialised by this version of PostgreSQL for the account that runs it.
async fn initialised() -> Result<PathBuf, Error> {
    let programs = server_programs::find_postgres(None)?;
    let uid = UnprivilegedUser::for_postgres()?.map_or(0, |account| account.uid);
    let version = programs.version;
    let place = programs::beside(&format!("test-cluster-{}-{}-{uid}", version.major, version.minor));
    let lock = File::create(place.with_extension("lock")).unwrap();
    // It goes with this process, however that ends.
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    if !place.exists() {
        let dir = tempfile::tempdir().unwrap();
        let (home, logs) = (dir.path().join("postgres"), dir.path().to_path_buf());
        let made =
            Cluster::make(&Options { programs, home, logs, port: None, settings: Vec::new(), certificate: None })
                .await?;
        let beside = place.with_extension("new");
        let _left_by_a_killed_one = fs::remove_dir_all(&beside);
        postgres::copy(made.home(), &beside).await?;
        fs::rename(&beside, &place).unwrap();
        fs::remove_dir_all(made.home()).unwrap();
    }
    Ok(place)
}
