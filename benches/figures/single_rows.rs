//! What an application gets that stores each event in a transaction of its own: plain INSERT on 64 connections.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use tokio_postgres::{Client, NoTls, Statement};

use crate::Result;

const CONNECTIONS: usize = 64;

/// A table like that of the log, and connections that insert into it.
pub(crate) struct SingleRows(Vec<(Client, Statement)>);

impl SingleRows {
    /// Makes the table beside the log of a database. It has the same columns and indexes, and a sequence numbers its rows, as in a log
    /// without a batching writer.
    pub(crate) async fn beside_log(url: &str) -> Result<Self> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        client
            .batch_execute(
                "CREATE TABLE single (LIKE event INCLUDING ALL); CREATE SEQUENCE single_position; \
                 ALTER TABLE single ALTER position SET DEFAULT nextval('single_position')",
            )
            .await?;
        let insert = "INSERT INTO single (event_id, command_id, ordinal, count, entity, version, type, v, actor, at, data, leaf) \
                      SELECT id, id, 1, 1, 'node/' || id, 1, 'NodeLabelled', 1, 'system/install', now(), \
                      '{\"labels\":{\"round\":\"1\",\"site\":\"lund\"}}', decode(repeat('00', 32), 'hex') \
                      FROM gen_random_uuid() AS id";
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
            tokio::spawn(connection);
            let statement = client.prepare(insert).await?;
            clients.push((client, statement));
        }
        Ok(Self(clients))
    }

    /// Rows per second, each in a transaction of its own.
    pub(crate) async fn inserted(&self, during: Duration) -> Result<f64> {
        let done = AtomicUsize::new(0);
        let began = Instant::now();
        let writers = self.0.iter().map(|(client, statement)| {
            let done = &done;
            async move {
                while began.elapsed() < during {
                    client.execute(statement, &[]).await?;
                    done.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<_, tokio_postgres::Error>(())
            }
        });
        try_join_all(writers).await?;
        Ok(done.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64())
    }
}
