//! What every test stands on: a PostgreSQL and a nats-server of its own, which are gone when it ends.

use std::path::Path;

use headwater::machine::nats::NatsServer;
use headwater::machine::postgres::Cluster;
use headwater::machine::running::Running;
use tempfile::TempDir;

/// The database that a log is installed in.
pub(crate) const DATABASE: &str = "headwater";

/// Two servers and a folder.
pub(crate) struct Ground {
    pub(crate) postgres: Running<Cluster>,
    pub(crate) nats: Running<NatsServer>,
    // The folder goes last: the servers write into it.
    dir: TempDir,
}

impl Ground {
    /// Starts both, with an empty database.
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (postgres, nats) = tokio::join!(Cluster::start(dir.path(), &[]), NatsServer::start(dir.path()));
        let (postgres, nats) = (postgres.unwrap(), nats.unwrap());
        postgres.create_database(DATABASE).await.unwrap();
        Self { postgres, nats, dir }
    }

    /// The folder, which is the test's own.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The superuser's URL of the database.
    pub(crate) fn database(&self) -> String {
        self.postgres.url(DATABASE)
    }

    /// The URL of a role of Headwater's, whose password is its name.
    pub(crate) fn database_as(&self, role: &str) -> String {
        format!("postgres://{role}:{role}@127.0.0.1:{}/{DATABASE}", self.postgres.port())
    }
}
