#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

use std::collections::BTreeMap;

use projections::refusal::RequestRefusal;
use projections::request::{DecisionWithState, RequestContext, decide_request};
use proptest::prelude::*;
use proptest::sample::select;
use replay::log::Follower;
use schema::command::{Command, CreateJoinToken, EnrolNode, JoinNode, SetNodeKeys};
use schema::entity::Actor;
use schema::event::Event;
use schema::id::{CommandId, LogId};
use schema::labels::Labels;
use schema::node_keys::NodeKeys;
use schema::request::Request;
use schema::seal::SecretKey;

use super::*;

fn key(number: u8) -> KeyBytes {
    KeyBytes::from(&SecretKey::from_seed(&[number; 32]).public())
}

fn keys(number: u8) -> NodeKeys {
    NodeKeys { bus: key(number), say: key(number + 100) }
}

fn at(seconds: i64) -> Instant {
    Instant::from_unix_micros(seconds * 1_000_000)
}

/// The state after these commands, one a request and one a second.
fn after(commands: &[Command]) -> Configuration {
    let mut state = Configuration::default();
    for (second, command) in (1..).zip(commands) {
        state = decide(&state, second, command).unwrap().configuration;
    }
    state
}

fn decide(state: &Configuration, second: i64, command: &Command) -> Result<DecisionWithState, RequestRefusal> {
    let context = RequestContext {
        log_id: log_id(),
        command_id: CommandId::derived(log_id(), "test", &second.to_string()),
        actor: Actor::Install,
        entropy: [7; 16],
        clock: at(second),
    };
    decide_request(state, &context, &Request::of([command.clone()]))
}

fn log_id() -> LogId {
    uuid::Uuid::from_u128(7).into()
}

fn enrol(node: &str, number: u8) -> Command {
    let (id, labels) = (node.parse().unwrap(), Labels::new());
    Command::EnrolNode(EnrolNode { id, labels, keys: Some(keys(number)) })
}

fn token(uses: u32) -> Command {
    let (id, node, labels) = ("t-1".parse().unwrap(), None, Labels::new());
    Command::CreateJoinToken(CreateJoinToken { id, key: key(50), node, labels, uses, for_s: 60 })
}

#[test]
fn who_is_let_in_follows_from_the_log() {
    let node: NodeId = "n-1".parse().unwrap();
    let join = JoinNode { token: "t-1".parse().unwrap(), node: "n-2".parse().unwrap(), keys: keys(2) };
    let mut commands = vec![enrol("n-1", 1), token(1)];
    let state = after(&commands);
    assert_eq!(admit_key(&state, &key(1), at(9)), Ok(Admitted::Node(node.clone())));
    assert_eq!(admit_key(&state, &key(101), at(9)), Err(Refused::SigningKey));
    assert_eq!(admit_key(&state, &key(2), at(9)), Err(Refused::UnknownKey));
    assert_eq!(admit_key(&state, &key(50), at(62)), Ok(Admitted::Joiner("t-1".parse().unwrap())));
    assert_eq!(admit_key(&state, &key(50), at(63)), Err(Refused::EndedToken));
    commands.extend([Command::JoinNode(join), Command::BarNode(node.clone())]);
    let state = after(&commands);
    assert!(admit_key(&state, &key(50), at(9)).is_ok(), "the answer to the node that used it may have been lost");
    assert_eq!(admit_key(&state, &key(2), at(9)), Ok(Admitted::Node("n-2".parse().unwrap())));
    assert_eq!(admit_key(&state, &key(1), at(9)), Err(Refused::BarredKey));
    commands.extend([
        Command::RetireNode(node.clone()),
        enrol("n-1", 3),
        Command::RevokeJoinToken("t-1".parse().unwrap()),
    ]);
    let state = after(&commands);
    assert_eq!(admit_key(&state, &key(1), at(9)), Err(Refused::BarredKey), "whoever the node is now");
    assert_eq!(admit_key(&state, &key(3), at(9)), Ok(Admitted::Node(node.clone())));
    assert_eq!(admit_key(&state, &key(50), at(9)), Err(Refused::EndedToken));
    commands.extend([Command::RetireNode(node.clone()), Command::DismissNode(node)]);
    assert_eq!(admit_key(&after(&commands), &key(3), at(9)), Err(Refused::UnknownKey));
}

#[test]
fn the_shared_password_opens_until_the_bus_is_closed_and_only_where_there_is_one() {
    let open = OpenPassword { user: "headwater".into(), password: "secret".into() };
    let (right, wrong) = (Credentials::Password("headwater", "secret"), Credentials::Password("headwater", "guess"));
    let state = after(&[]);
    assert_eq!(admit(&state, Some(&open), &right, at(1)), Ok(Admitted::Open));
    assert_eq!(admit(&state, Some(&open), &wrong, at(1)), Err(Refused::WrongPassword));
    assert_eq!(admit(&state, None, &right, at(1)), Err(Refused::WrongPassword));
    assert_eq!(admit(&state, Some(&open), &Credentials::None, at(1)), Err(Refused::NoCredentials));
    let closed = after(&[Command::CloseBus(uuid::Uuid::from_u128(7).into())]);
    assert_eq!(admit(&closed, Some(&open), &right, at(1)), Err(Refused::Closed));
}

/// A command about a few nodes, keys and tokens, so that they meet.
fn command() -> impl Strategy<Value = Command> {
    let node = || select(vec!["n-1", "n-2", "n-3"]).prop_map(|id| id.parse::<NodeId>().unwrap());
    // The two keys of a node may be those of another one the other way round.
    let keys = || (1..8_u8, 1..8_u8).prop_map(|(bus, say)| NodeKeys { bus: key(bus), say: key(say) });
    let token = || select(vec!["t-1", "t-2"]).prop_map(|id| id.parse::<JoinTokenId>().unwrap());
    let different = |keys: &NodeKeys| keys.bus != keys.say;
    prop_oneof![
        4 => (node(), proptest::option::of(keys().prop_filter("two keys", different))).prop_map(|(id, keys)| {
            Command::EnrolNode(EnrolNode { id, labels: Labels::new(), keys })
        }),
        4 => (node(), keys().prop_filter("two keys", different))
            .prop_map(|(id, keys)| Command::SetNodeKeys(SetNodeKeys { id, keys })),
        2 => (token(), 7..9_u8).prop_map(|(id, number)| {
            let (key, node, labels) = (key(number), None, Labels::new());
            Command::CreateJoinToken(CreateJoinToken { id, key, node, labels, uses: 2, for_s: 1_000_000 })
        }),
        2 => (token(), node(), keys().prop_filter("two keys", different))
            .prop_map(|(token, node, keys)| Command::JoinNode(JoinNode { token, node, keys })),
        1 => token().prop_map(Command::RevokeJoinToken),
        1 => node().prop_map(Command::BarNode),
        3 => node().prop_map(Command::RetireNode),
        2 => node().prop_map(Command::DismissNode),
        1 => Just(Command::CloseBus(log_id())),
    ]
}

/// Who is connected under which name, and with which permissions.
type Connections = BTreeMap<String, Permissions>;

/// Everyone that is let in by a state: nodes, holders of tokens, and nodes without keys.
fn let_in(state: &Configuration) -> Connections {
    let open = OpenPassword { user: "headwater".into(), password: "secret".into() };
    let keyed = (1..9).map(key).map(Credentials::Key);
    let credentials = keyed.chain([Credentials::Password("headwater", "secret")]);
    let admitted = credentials.filter_map(|credentials| {
        let admitted = admit(state, Some(&open), &credentials, at(100)).ok()?;
        Some((admitted.connection_name(credentials.key()), admitted.permissions(&Prefix::default())))
    });
    admitted.collect()
}

/// Follows the log in batches that end where `ends` says. After each batch whoever may connect does, and those are cut that the warden
/// would cut: only when the identities say that somebody may have lost access.
fn connected(events: &[Event], ends: impl Fn(usize) -> bool) -> Connections {
    let mut follower = Follower::new(log_id());
    let mut before = Configuration::default();
    let mut connections = let_in(&before);
    for (index, event) in events.iter().enumerate() {
        follower.advance(event).unwrap();
        if !ends(index) && index + 1 < events.len() {
            continue;
        }
        let now = follower.configuration();
        if now.identities().takes_access_of(before.identities()) {
            connections.retain(|name, _| is_still_admitted(now, name, at(100)));
        }
        let admitted = let_in(now);
        for (name, permissions) in &connections {
            assert_eq!(admitted.get(name), Some(permissions), "{name} would not be let in so now");
        }
        connections.extend(admitted);
        before = now.clone();
    }
    connections
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn however_events_are_batched_the_same_are_let_in_with_the_same_permissions(
        commands in proptest::collection::vec(command(), 1..40), ends in proptest::collection::vec(any::<bool>(), 1..20),
    ) {
        let (mut state, mut events) = (Configuration::default(), Vec::new());
        for (second, command) in (1..).zip(&commands) {
            if let Ok(decided) = decide(&state, second, command) {
                events.extend(decided.events);
                state = decided.configuration;
            }
        }
        let want = let_in(&state);
        prop_assert_eq!(&connected(&events, |_| true), &want);
        prop_assert_eq!(&connected(&events, |_| false), &want);
        prop_assert_eq!(&connected(&events, |index| ends[index % ends.len()]), &want);
    }
}
