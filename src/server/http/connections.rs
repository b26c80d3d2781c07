//! Limits on connections: a few without a valid token (anonymous), and many with one (authenticated).
//!
//! Always: a new connection is admitted within moments. Where all permits are taken, the connection that has been idle longest is
//! closed, so that idle connections keep no caller out. An anonymous connection is closed even while it works on a request, so
//! that callers without a token can't keep a probe of `/healthz` waiting; an authenticated one is not.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// How long an anonymous connection is safe from being closed for another: a client that has just connected is about to send
/// its request.
const FIRST_REQUEST_GRACE: Duration = Duration::from_millis(50);
/// How often a waiting connection tries to get a permit meanwhile.
const RETRY_EVERY: Duration = Duration::from_millis(5);

/// How many connections may be open, and how long each may be silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections on which a valid token was sent.
    pub authenticated: usize,
    /// Connections on which none was sent yet.
    pub anonymous: usize,
    /// How long the TLS handshake may take.
    pub handshake: Duration,
    /// How long the header of the first request may take.
    pub first_header: Duration,
    /// How long the header of each further request may take, counted from the answer before it: as long as clients keep idle
    /// connections by default. Longer would keep dead connections, and much shorter would close those that are about to be used.
    pub header: Duration,
    /// How long a peer may read nothing of what it is sent.
    pub stalled: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            authenticated: 3_840,
            anonymous: 256,
            handshake: Duration::from_secs(5),
            first_header: Duration::from_secs(10),
            header: Duration::from_secs(75),
            stalled: Duration::from_secs(30),
        }
    }
}

/// All open connections. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Connections {
    limits: ConnectionLimits,
    open: Arc<Mutex<OpenConnections>>,
}

#[derive(Debug, Default)]
struct OpenConnections {
    admitted: u64,
    anonymous: BTreeMap<u64, Connection>,
    authenticated: BTreeMap<u64, Connection>,
}

/// One open connection. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Connection(Arc<ConnectionInner>);

#[derive(Debug)]
struct ConnectionInner {
    number: u64,
    connections: Connections,
    is_authenticated: AtomicBool,
    activity: Mutex<ConnectionActivity>,
    /// Cancelled when the first request has arrived.
    first_request: CancellationToken,
    /// Cancelled when the connection has to be closed.
    abort: CancellationToken,
}

#[derive(Debug)]
struct ConnectionActivity {
    /// Requests whose answers are not sent yet.
    in_progress: usize,
    /// When the last request ended.
    idle_since: Instant,
}

/// A connection's permit, given back when it is dropped.
#[derive(Debug)]
pub(super) struct ConnectionPermit(pub(super) Connection);

/// A request, in progress until this is dropped.
#[derive(Debug)]
pub(super) struct RequestInProgress(Connection);

impl Connections {
    /// No connections yet.
    pub(super) fn new(limits: ConnectionLimits) -> Self {
        Self { limits, open: Arc::default() }
    }

    /// Waits for a permit for a new connection.
    pub(super) async fn admit(&self) -> ConnectionPermit {
        loop {
            if let Some(permit) = self.try_admit() {
                return permit;
            }
            sleep(RETRY_EVERY).await;
        }
    }

    fn try_admit(&self) -> Option<ConnectionPermit> {
        let mut open = self.open();
        let is_full = open.anonymous.len() >= self.limits.anonymous;
        if is_full && !evict_longest_idle(&mut open.anonymous, Connection::is_past_grace) {
            return None;
        }
        open.admitted += 1;
        let number = open.admitted;
        let connection = Connection(Arc::new(ConnectionInner {
            number,
            connections: self.clone(),
            is_authenticated: AtomicBool::new(false),
            activity: Mutex::new(ConnectionActivity { in_progress: 0, idle_since: Instant::now() }),
            first_request: CancellationToken::new(),
            abort: CancellationToken::new(),
        }));
        open.anonymous.insert(number, connection.clone());
        Some(ConnectionPermit(connection))
    }

    /// Closes one connection, where the process has no file descriptors left.
    pub(super) fn evict_one(&self) {
        let open = &mut *self.open();
        if !evict_longest_idle(&mut open.anonymous, |_| true) {
            evict_longest_idle(&mut open.authenticated, Connection::is_idle);
        }
    }

    fn open(&self) -> MutexGuard<'_, OpenConnections> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes the connection that has been idle longest, among those that `may` be closed; false if there is none.
fn evict_longest_idle(among: &mut BTreeMap<u64, Connection>, may: impl Fn(&Connection) -> bool) -> bool {
    let candidates = among.iter().filter(|(_, connection)| may(connection));
    let longest = candidates.min_by_key(|(_, connection)| connection.eviction_order()).map(|(number, _)| *number);
    let evicted = longest.and_then(|number| among.remove(&number));
    evicted.inspect(|connection| connection.abort()).is_some()
}

impl Connection {
    /// Records that a valid token was sent; false if there is no permit left for such a connection.
    #[must_use]
    pub(super) fn mark_authenticated(&self) -> bool {
        if self.0.is_authenticated.load(Ordering::Relaxed) {
            return true;
        }
        let connections = &self.0.connections;
        let open = &mut *connections.open();
        let has_permit = open.authenticated.len() < connections.limits.authenticated
            || evict_longest_idle(&mut open.authenticated, Self::is_idle);
        // A connection that was closed meanwhile is not among the anonymous ones.
        if has_permit && let Some(connection) = open.anonymous.remove(&self.0.number) {
            open.authenticated.insert(self.0.number, connection);
            self.0.is_authenticated.store(true, Ordering::Relaxed);
        }
        has_permit
    }

    /// Counts a request as in progress.
    pub(super) fn begin_request(&self) -> RequestInProgress {
        self.0.first_request.cancel();
        self.activity().in_progress += 1;
        RequestInProgress(self.clone())
    }

    /// Completes when the first request has arrived.
    pub(super) async fn first_request(&self) {
        self.0.first_request.cancelled().await;
    }

    /// Closes the connection, whatever it is doing.
    pub(super) fn abort(&self) {
        self.0.abort.cancel();
    }

    /// Completes when the connection has to be closed.
    pub(super) async fn aborted(&self) {
        self.0.abort.cancelled().await;
    }

    fn is_past_grace(&self) -> bool {
        self.activity().idle_since.elapsed() >= FIRST_REQUEST_GRACE
    }

    fn is_idle(&self) -> bool {
        self.activity().in_progress == 0
    }

    /// The least is closed first: idle connections before working ones, and of each the one that has been so longest.
    fn eviction_order(&self) -> (bool, Instant) {
        let activity = self.activity();
        (activity.in_progress > 0, activity.idle_since)
    }

    fn activity(&self) -> MutexGuard<'_, ConnectionActivity> {
        self.0.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RequestInProgress {
    fn drop(&mut self) {
        let mut activity = self.0.activity();
        activity.in_progress -= 1;
        activity.idle_since = Instant::now();
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let number = self.0.0.number;
        let mut open = self.0.0.connections.open();
        open.anonymous.remove(&number);
        open.authenticated.remove(&number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    fn connections_of(authenticated: usize, anonymous: usize) -> Connections {
        Connections::new(ConnectionLimits { authenticated, anonymous, ..ConnectionLimits::default() })
    }

    fn aborted(permits: &[&ConnectionPermit]) -> Vec<bool> {
        permits.iter().map(|ConnectionPermit(connection)| connection.0.abort.is_cancelled()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_token_the_longest_idle_connection_gives_way_and_at_last_one_at_work() {
        let connections = connections_of(9, 2);
        let (first, second) = (connections.admit().await, connections.admit().await);
        advance(Duration::from_secs(1)).await;
        drop(first.0.begin_request());
        let third = connections.admit().await;
        assert_eq!(aborted(&[&first, &second, &third]), [false, true, false], "the first was idle for a shorter time");
        let (_at_first, _at_third) = (first.0.begin_request(), third.0.begin_request());
        let before = Instant::now();
        let fourth = connections.admit().await;
        assert_eq!(aborted(&[&first, &third, &fourth]), [true, false, false], "all were at work");
        assert_eq!(before.elapsed(), FIRST_REQUEST_GRACE, "the first had just been answered");
        drop(third);
        let fifth = connections.admit().await;
        assert_eq!(aborted(&[&fourth, &fifth]), [false, false], "a permit was free");
    }

    #[tokio::test(start_paused = true)]
    async fn with_a_token_only_an_idle_connection_gives_way() {
        let connections = connections_of(2, 9);
        let (first, second, third) = (connections.admit().await, connections.admit().await, connections.admit().await);
        let in_progress = second.0.begin_request();
        assert!(first.0.mark_authenticated() && second.0.mark_authenticated() && third.0.mark_authenticated());
        assert_eq!(aborted(&[&first, &second, &third]), [true, false, false]);
        assert!(third.0.mark_authenticated(), "its permit is kept");
        let _at_third = third.0.begin_request();
        let fourth = connections.admit().await;
        assert!(!fourth.0.mark_authenticated(), "both are at activity");
        drop(in_progress);
        assert!(fourth.0.mark_authenticated());
        assert_eq!(aborted(&[&second, &third, &fourth]), [true, false, false]);
    }

    #[tokio::test]
    async fn a_connection_that_has_gone_leaves_nothing_behind() {
        let connections = connections_of(1, 1);
        let place = connections.admit().await;
        assert!(place.0.mark_authenticated());
        let inside = Arc::downgrade(&place.0.0);
        drop(place);
        assert!(inside.upgrade().is_none());
        assert!(connections.open().authenticated.is_empty() && connections.open().anonymous.is_empty());
    }
}
