//! The replication slot and its publication: where following begins, and the lock that makes one relay active.

use std::path::Path;
use std::time::Duration;

use pgwire_replication::{ReplicationClient, ReplicationConfig};
use postgres::{PostgresEndpoint, PostgresOpenError};
use schema::address;
use schema::id::LogId;
use tls::error::Error as TlsError;
use tokio::time::timeout;
use tokio_postgres::config::Host;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config};

use super::Error;
use super::publication;
use super::session::{ANSWER_WITHIN, answered};
use super::tail::Tail;
use super::tunnel::Tunnel;

/// How often acknowledgements are sent. What was acknowledged in the last interval comes again after a restart.
const STATUS_EVERY: Duration = Duration::from_secs(1);
/// Changes that may wait in memory between the stream and its reader: of the largest, 128 MiB.
const BUFFER_EVENTS: usize = 512;

/// The slot of one log's database.
#[derive(Clone, Debug)]
pub struct Slot {
    endpoint: PostgresEndpoint,
    name: String,
}

impl Slot {
    /// The slot as the replication role reaches it. Without a name, the name says which database it follows.
    ///
    /// # Errors
    /// If the URL is none.
    pub fn parse(url: &str, name: Option<String>) -> Result<Self, Error> {
        let mut endpoint = PostgresEndpoint::parse(url).map_err(Error::Address)?;
        endpoint.config_mut().connect_timeout(ANSWER_WITHIN).application_name("headwater relay control");
        let name = name.unwrap_or_else(|| address::slot(database(endpoint.config())));
        Ok(Self { endpoint, name })
    }

    /// The same over TLS, where the CA in this file, if there is one, has signed PostgreSQL's certificate.
    ///
    /// # Errors
    /// If the file can't be used.
    pub fn verified_by(self, ca_file: Option<&Path>) -> Result<Self, TlsError> {
        Ok(Self { endpoint: self.endpoint.verified_by(ca_file)?, ..self })
    }

    /// Whether nobody else can listen in: by TLS, or because it is this machine.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        self.endpoint.is_protected()
    }

    /// The slot's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is: host, port and database.
    #[must_use]
    pub fn place(&self) -> String {
        let (host, port) = self.address();
        format!("{host}:{port}/{}", database(self.config()))
    }

    /// The role that follows it.
    #[must_use]
    pub fn user(&self) -> &str {
        self.config().get_user().unwrap_or("postgres")
    }

    /// Makes the slot if it is missing, and makes it anew if PostgreSQL gave it up. Nothing is lost by either: a new
    /// relay first reads the table up to the head, and then follows. True if it was made.
    ///
    /// # Errors
    /// If PostgreSQL refuses or can't be reached.
    pub async fn ensure(&self) -> Result<bool, Error> {
        self.made().await.map_err(|error| error.or_may_not_replicate(self.user()))
    }

    async fn made(&self) -> Result<bool, Error> {
        let control = self.control().await?;
        let query = "SELECT coalesce(wal_status = 'lost', false) FROM pg_replication_slots WHERE slot_name = $1";
        let lost = answered(control.query_opt(query, &[&self.name])).await?.map(|row| row.get::<_, bool>(0));
        if lost == Some(false) {
            return Ok(false);
        }
        if lost == Some(true) {
            tracing::warn!(slot = self.name, "PostgreSQL gave the slot up; making it anew");
            answered(control.execute("SELECT pg_drop_replication_slot($1)", &[&self.name])).await?;
        }
        let create = "SELECT pg_create_logical_replication_slot($1, 'pgoutput')";
        match answered(control.execute(create, &[&self.name])).await {
            // Somebody else made it between the look and this: `headwater install` beside a server, for example.
            Err(Error::Control(error)) if error.code() == Some(&SqlState::DUPLICATE_OBJECT) => Ok(false),
            made => made.map(|_| true),
        }
    }

    /// Takes the slot and follows from where it was acknowledged. Without a publication that publishes events the slot is
    /// dropped, lest it keep write-ahead log that nobody can read.
    ///
    /// # Errors
    /// [`Error::SlotBusy`] while another relay holds it, [`Error::Publication`] while that is not as it was installed.
    pub async fn take(&self, log_id: LogId) -> Result<Tail, Error> {
        let control = self.control().await?;
        if let Some(fault) = publication::fault(&control).await? {
            self.drop_idle(&control).await?;
            return Err(Error::Publication(fault));
        }
        self.ensure().await?;
        let stream = timeout(ANSWER_WITHIN, self.stream()).await.map_err(|_| Error::Unanswered)?;
        let (client, tunnel) = stream.map_err(|error| error.or_may_not_replicate(self.user()))?;
        Ok(Tail::new(client, tunnel, control, log_id))
    }

    /// Drops the slot if nobody holds it; the next to take it makes it anew. What it would have brought is in the table.
    ///
    /// # Errors
    /// If PostgreSQL refuses or can't be reached.
    pub async fn discard(&self) -> Result<(), Error> {
        self.drop_idle(&self.control().await?).await
    }

    /// What is wrong with the publication, if anything is.
    ///
    /// # Errors
    /// If PostgreSQL can't be reached.
    pub async fn publication_fault(&self) -> Result<Option<publication::Fault>, Error> {
        publication::fault(&self.control().await?).await
    }

    async fn drop_idle(&self, control: &Client) -> Result<(), Error> {
        let drop = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots \
                    WHERE slot_name = $1 AND NOT active";
        if answered(control.execute(drop, &[&self.name])).await? > 0 {
            tracing::warn!(slot = self.name, "the slot is dropped: what it would have brought is read from the table");
        }
        Ok(())
    }

    /// Bytes of write-ahead log that PostgreSQL keeps for the slot; nothing if there is no slot.
    ///
    /// # Errors
    /// If PostgreSQL can't be reached.
    pub async fn retained_bytes(&self) -> Result<Option<u64>, Error> {
        let query = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint FROM pg_replication_slots \
                     WHERE slot_name = $1";
        let control = self.control().await?;
        let row = answered(control.query_opt(query, &[&self.name])).await?;
        Ok(row.and_then(|row| row.get::<_, Option<i64>>(0)).and_then(|bytes| u64::try_from(bytes).ok()))
    }

    /// The stream, and the tunnel that it comes through if TLS is spoken.
    async fn stream(&self) -> Result<(ReplicationClient, Option<Tunnel>), Error> {
        let (mut host, port) = self.address();
        let tunnel = match self.endpoint.authorities() {
            None => None,
            Some(authorities) => {
                let at = self.config().get_hostaddrs().first().map_or_else(|| host.clone(), ToString::to_string);
                let tunnel = Tunnel::open((&at, port), &host, port, authorities).await?;
                host = tunnel.folder().to_string_lossy().into_owned();
                Some(tunnel)
            }
        };
        let user = self.user();
        let password = String::from_utf8_lossy(self.config().get_password().unwrap_or_default()).into_owned();
        let database = database(self.config());
        let config = ReplicationConfig::new(host, user, password, database, &self.name, address::PUBLICATION)
            .with_port(port)
            .with_binary(true)
            .with_status_interval(STATUS_EVERY)
            .with_wakeup_interval(STATUS_EVERY)
            .with_buffer_size(BUFFER_EVENTS)
            .with_application_name("headwater relay");
        let mut client = ReplicationClient::connect(config).await?;
        client.wait_started().await.map_err(|error| Error::starting(error, &self.name))?;
        Ok((client, tunnel))
    }

    /// A session beside the stream, for the slot's state and the heartbeat.
    async fn control(&self) -> Result<Client, Error> {
        let opened = timeout(ANSWER_WITHIN, self.endpoint.open(self.config())).await.map_err(|_| Error::Unanswered)?;
        opened.map_err(|error| match error {
            PostgresOpenError::Postgres(error) => {
                Error::Connect { place: self.place(), user: self.user().to_owned(), error }
            }
            PostgresOpenError::Authorities(error) => Error::Tunnel(error.into()),
        })
    }

    fn config(&self) -> &Config {
        self.endpoint.config()
    }

    fn address(&self) -> (String, u16) {
        let host = match self.config().get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            #[cfg(unix)]
            Some(Host::Unix(folder)) => folder.to_string_lossy().into_owned(),
            None => "127.0.0.1".to_owned(),
        };
        (host, self.config().get_ports().first().copied().unwrap_or(5432))
    }
}

fn database(config: &Config) -> &str {
    config.get_dbname().or_else(|| config.get_user()).unwrap_or("postgres")
}
