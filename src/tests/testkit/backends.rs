//! What every test stands on: a PostgreSQL and a nats-server of its own, which are gone when it ends. A test that fails
//! shows the end of every log in its folder.

use std::path::{Path, PathBuf};

use lab::nats::{Access, NatsServer};
use lab::postgres::Cluster;
use lab::running_server::RunningServer;
use tempfile::TempDir;

use crate::cluster;

/// The database that a log is installed in.
pub const DATABASE: &str = "headwater";

/// Lines of each log that a failure shows.
const LOG_LINES: usize = 60;

/// Two servers and a folder.
pub struct TestBackends {
    pub postgres: RunningServer<Cluster>,
    pub nats: RunningServer<NatsServer>,
    /// Whether users of NATS have keys, and not one password.
    pub has_identities: bool,
    /// Where NATS is, if it is not that server.
    pub nats_elsewhere: Option<String>,
    /// The port on which roles of Headwater's find PostgreSQL, if it is not its own.
    pub postgres_by: Option<u16>,
    // The folder goes last: the servers write into it.
    pub dir: TempDir,
}

impl TestBackends {
    /// Starts both, with an empty database.
    pub async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), &[]).await
    }

    /// Starts both in a folder, PostgreSQL with settings of its own.
    pub async fn start_in(dir: TempDir, settings: &[(&str, &str)]) -> Self {
        Self::start_for(dir, settings, Access::Password).await
    }

    /// Starts both, with an empty database, and NATS for users with keys.
    pub async fn with_identities() -> Self {
        Self::start_for(tempfile::tempdir().unwrap(), &[], Access::Identities).await
    }

    async fn start_for(dir: TempDir, settings: &[(&str, &str)], access: Access) -> Self {
        let (postgres, nats) =
            tokio::join!(cluster::start(dir.path(), settings), NatsServer::start_with(dir.path(), access, None));
        let (postgres, nats) = (postgres.unwrap(), nats.unwrap());
        postgres.create_database(DATABASE).await.unwrap();
        let has_identities = access == Access::Identities;
        Self { postgres, nats, has_identities, nats_elsewhere: None, postgres_by: None, dir }
    }

    /// Where NATS is.
    pub fn nats_url(&self) -> String {
        let own = || match self.has_identities {
            true => format!("nats://127.0.0.1:{}", self.nats.port()),
            false => self.nats.url(),
        };
        self.nats_elsewhere.clone().unwrap_or_else(own)
    }

    /// The folder with the seeds of those who are known to NATS itself.
    pub fn bus(&self) -> PathBuf {
        self.nats.bus().path("")
    }

    /// The superuser's URL of the database.
    pub fn database(&self) -> String {
        self.postgres.url(DATABASE)
    }

    /// The URL of a role of Headwater's, whose password is its name.
    pub fn database_as(&self, role: &str) -> String {
        let port = self.postgres_by.unwrap_or(self.postgres.port());
        format!("postgres://{role}:{role}@127.0.0.1:{port}/{DATABASE}")
    }
}

impl Drop for TestBackends {
    fn drop(&mut self) {
        if std::thread::panicking() {
            show_logs(self.dir.path());
        }
    }
}

fn show_logs(dir: &Path) {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut logs: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|kind| kind == "log")).collect();
    logs.sort();
    for log in logs {
        let text = String::from_utf8_lossy(&std::fs::read(&log).unwrap_or_default()).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        let tail = &lines[lines.len().saturating_sub(LOG_LINES)..];
        eprintln!("\n== the end of {}\n{}", log.display(), tail.join("\n"));
    }
}
