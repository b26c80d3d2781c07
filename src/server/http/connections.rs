//! Connections and their places: few for those on which no token was shown yet, and the rest for the others.
//!
//! Always: a new connection is taken in within moments. Where its place is taken, the connection gives way that has been idle
//! longest, so that whoever holds connections open keeps nobody else out; and among those without a token, even one that is
//! at work, so that nobody without a token keeps a probe of `/healthz` waiting. A connection with a token never gives way
//! while it works.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// How long a connection without a token keeps its place in any case: a client that has just come is about to ask.
const MOMENT: Duration = Duration::from_millis(50);
/// How often it is looked whether a place is free meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// How many connections there may be, and how long each may be silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections on which a valid token was shown.
    pub known: usize,
    /// Connections on which none was shown yet.
    pub unknown: usize,
    /// How long the first header may take.
    pub first_header: Duration,
    /// How long each further header may take, with the rest before it. Longer than clients keep idle connections by default
    /// would keep dead ones for nothing; much shorter would close those that are about to be used.
    pub header: Duration,
    /// How long a peer may take nothing of what it is sent.
    pub stalled: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            known: 3_840,
            unknown: 256,
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
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    taken_in: u64,
    unknown: BTreeMap<u64, Connection>,
    known: BTreeMap<u64, Connection>,
}

/// One connection, as those who work for it know it. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Connection(Arc<Inside>);

#[derive(Debug)]
struct Inside {
    number: u64,
    connections: Connections,
    is_known: AtomicBool,
    work: Mutex<Work>,
    /// Cancelled when the first request has come.
    asked: CancellationToken,
    /// Cancelled when the connection has to go.
    cut: CancellationToken,
}

#[derive(Debug)]
struct Work {
    /// Requests that are worked on, and answers that are not sent yet.
    going_on: usize,
    /// When the last of them ended.
    idle_since: Instant,
}

/// A connection's place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place(pub(super) Connection);

/// A request that is worked on until this is dropped.
#[derive(Debug)]
pub(super) struct AtWork(Connection);

impl Connections {
    /// Places for connections.
    pub(super) fn new(limits: ConnectionLimits) -> Self {
        Self { limits, open: Arc::default() }
    }

    /// Takes a new connection in.
    pub(super) async fn take_in(&self) -> Place {
        loop {
            if let Some(place) = self.take_in_now() {
                return place;
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    fn take_in_now(&self) -> Option<Place> {
        let mut open = self.open();
        let is_full = open.unknown.len() >= self.limits.unknown;
        if is_full && !give_way(&mut open.unknown, Connection::has_had_its_moment) {
            return None;
        }
        open.taken_in += 1;
        let number = open.taken_in;
        let connection = Connection(Arc::new(Inside {
            number,
            connections: self.clone(),
            is_known: AtomicBool::new(false),
            work: Mutex::new(Work { going_on: 0, idle_since: Instant::now() }),
            asked: CancellationToken::new(),
            cut: CancellationToken::new(),
        }));
        open.unknown.insert(number, connection.clone());
        Some(Place(connection))
    }

    /// Lets one connection give way, where the system has no more for any.
    pub(super) fn make_room(&self) {
        let open = &mut *self.open();
        if !give_way(&mut open.unknown, |_| true) {
            give_way(&mut open.known, Connection::is_idle);
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets the connection go that has been idle longest, of those that may: whether there was one.
fn give_way(among: &mut BTreeMap<u64, Connection>, may: impl Fn(&Connection) -> bool) -> bool {
    let idle = among.iter().filter(|(_, connection)| may(connection));
    let longest = idle.min_by_key(|(_, connection)| connection.rank()).map(|(number, _)| *number);
    let gone = longest.and_then(|number| among.remove(&number));
    gone.inspect(|connection| connection.cut()).is_some()
}

impl Connection {
    /// Takes note that a valid token was shown: false if there is no place among those connections.
    #[must_use]
    pub(super) fn show_token(&self) -> bool {
        if self.0.is_known.load(Ordering::Relaxed) {
            return true;
        }
        let connections = &self.0.connections;
        let open = &mut *connections.open();
        let has_place = open.known.len() < connections.limits.known || give_way(&mut open.known, Self::is_idle);
        // What had to give way meanwhile has no place to move from.
        if has_place && let Some(connection) = open.unknown.remove(&self.0.number) {
            open.known.insert(self.0.number, connection);
            self.0.is_known.store(true, Ordering::Relaxed);
        }
        has_place
    }

    /// Takes note of a request.
    pub(super) fn begin(&self) -> AtWork {
        self.0.asked.cancel();
        self.work().going_on += 1;
        AtWork(self.clone())
    }

    /// Completes when the first request has come.
    pub(super) async fn asked(&self) {
        self.0.asked.cancelled().await;
    }

    /// Breaks the connection off.
    pub(super) fn cut(&self) {
        self.0.cut.cancel();
    }

    /// Completes when the connection has to go.
    pub(super) async fn gone(&self) {
        self.0.cut.cancelled().await;
    }

    fn has_had_its_moment(&self) -> bool {
        self.work().idle_since.elapsed() >= MOMENT
    }

    fn is_idle(&self) -> bool {
        self.work().going_on == 0
    }

    /// The least goes first: who is idle, and of those who has been so longest.
    fn rank(&self) -> (bool, Instant) {
        let work = self.work();
        (work.going_on > 0, work.idle_since)
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.0.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        let mut work = self.0.work();
        work.going_on -= 1;
        work.idle_since = Instant::now();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let number = self.0.0.number;
        let mut open = self.0.0.connections.open();
        open.unknown.remove(&number);
        open.known.remove(&number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    fn places(known: usize, unknown: usize) -> Connections {
        Connections::new(ConnectionLimits { known, unknown, ..ConnectionLimits::default() })
    }

    fn gone(places: &[&Place]) -> Vec<bool> {
        places.iter().map(|Place(connection)| connection.0.cut.is_cancelled()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_token_the_longest_idle_connection_gives_way_and_at_last_one_at_work() {
        let connections = places(9, 2);
        let (first, second) = (connections.take_in().await, connections.take_in().await);
        advance(Duration::from_secs(1)).await;
        drop(first.0.begin());
        let third = connections.take_in().await;
        assert_eq!(gone(&[&first, &second, &third]), [false, true, false], "the first was idle for a shorter time");
        let (_at_first, _at_third) = (first.0.begin(), third.0.begin());
        let before = Instant::now();
        let fourth = connections.take_in().await;
        assert_eq!(gone(&[&first, &third, &fourth]), [true, false, false], "all were at work");
        assert_eq!(before.elapsed(), MOMENT, "the first had just been answered");
        drop(third);
        let fifth = connections.take_in().await;
        assert_eq!(gone(&[&fourth, &fifth]), [false, false], "a place was free");
    }

    #[tokio::test(start_paused = true)]
    async fn with_a_token_only_an_idle_connection_gives_way() {
        let connections = places(2, 9);
        let (first, second, third) =
            (connections.take_in().await, connections.take_in().await, connections.take_in().await);
        let at_work = second.0.begin();
        assert!(first.0.show_token() && second.0.show_token() && third.0.show_token());
        assert_eq!(gone(&[&first, &second, &third]), [true, false, false]);
        assert!(third.0.show_token(), "its place is kept");
        let _at_third = third.0.begin();
        let fourth = connections.take_in().await;
        assert!(!fourth.0.show_token(), "both are at work");
        drop(at_work);
        assert!(fourth.0.show_token());
        assert_eq!(gone(&[&second, &third, &fourth]), [true, false, false]);
    }

    #[tokio::test]
    async fn a_connection_that_has_gone_leaves_nothing_behind() {
        let connections = places(1, 1);
        let place = connections.take_in().await;
        assert!(place.0.show_token());
        let inside = Arc::downgrade(&place.0.0);
        drop(place);
        assert!(inside.upgrade().is_none());
        assert!(connections.open().known.is_empty() && connections.open().unknown.is_empty());
    }
}
