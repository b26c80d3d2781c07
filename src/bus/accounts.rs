//! The part of nats-server's configuration that says who may do what: `bus.conf`, which `headwater.conf` includes.
//!
//! The servers and the streams are in one account, the nodes in another, which reaches only what is exported to it. Who a node is says the
//! log: nats-server asks a server of Headwater for each connection that it does not know itself (auth callout).

use std::fmt::Write as _;

use schema::address::Prefix;
use schema::node_keys::KeyBytes;
use schema::permissions::{CENTRE_ACCOUNT, NODES_ACCOUNT, Permissions, READERS_ACCOUNT};

use crate::nkey::KeyKind;

/// The account of the servers that answer who may come in.
pub const ANSWERERS_ACCOUNT: &str = "AUTH";
/// The system account of NATS.
pub const SYSTEM_ACCOUNT: &str = "SYS";
/// How many seconds nats-server waits for an answer before it refuses a connection.
const ANSWER_WITHIN_S: u32 = 3;
/// Connections in the account of the nodes: a flood of them leaves the servers their places.
const NODES_MAX: u32 = 60_000;

/// The public keys of those who are known to nats-server itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CentreKeys {
    /// A server with a relay.
    pub relay: KeyBytes,
    /// A server with role `door`.
    pub door: KeyBytes,
    /// A program that only consumes the event stream.
    pub reader: KeyBytes,
    /// Who answers nats-server.
    pub answerer: KeyBytes,
    /// Who cuts connections.
    pub warden: KeyBytes,
    /// The account key that signs the answers.
    pub issuer: KeyBytes,
}

/// The text of `bus.conf`.
#[must_use]
pub fn bus_conf(prefix: &Prefix, keys: &CentreKeys) -> String {
    let user = |key: &KeyBytes| KeyKind::User.public(key);
    let known = [&keys.relay, &keys.door, &keys.reader, &keys.answerer, &keys.warden].map(user).join(", ");
    let warden = Permissions {
        publish: vec!["$SYS.REQ.SERVER.PING.CONNZ".into(), "$SYS.REQ.SERVER.*.KICK".into()],
        subscribe: vec!["_INBOX.>".into()],
    };
    let services = prefix.services_for_nodes();
    let streams = prefix.streams_for_nodes();
    let mut text = format!(
        "# Made by `headwater bus init`. Who may do what in NATS, for the names that begin with `{prefix}`.\n\
         # A change of this file needs a restart of nats-server.\n\n\
         authorization {{\n  timeout: {ANSWER_WITHIN_S}\n  auth_callout {{\n    issuer: {issuer}\n    account: {ANSWERERS_ACCOUNT}\n    \
         auth_users: [ {known} ]\n    allowed_accounts: [ {NODES_ACCOUNT} ]\n  }}\n}}\n\n\
         system_account: {SYSTEM_ACCOUNT}\n\naccounts {{\n",
        issuer = KeyKind::Account.public(&keys.issuer),
    );
    let mut line = |line: String| writeln!(text, "{line}").expect("BUG: a string takes all text");
    line(format!("  {CENTRE_ACCOUNT} {{\n    jetstream: enabled\n    users: ["));
    line(format!("      {{ nkey: {} }}", user(&keys.relay)));
    line(format!("      {{ nkey: {}, permissions: {} }}", user(&keys.door), listed(&prefix.door_permissions())));
    line("    ]\n    exports: [".into());
    let mut export = |kind: &str, subjects: &[String], account: &str| {
        subjects.iter().for_each(|to| line(format!("      {{ {kind}: {to:?}, accounts: [{account}] }}")));
    };
    export("service", &services, NODES_ACCOUNT);
    export("stream", &streams, NODES_ACCOUNT);
    export("service", &prefix.services_for_readers(), READERS_ACCOUNT);
    export("stream", &prefix.streams_for_readers(), READERS_ACCOUNT);
    line(format!("    ]\n  }}\n  {NODES_ACCOUNT} {{\n    limits: {{ max_conn: {NODES_MAX} }}\n    imports: ["));
    let from =
        |kind: &str, to: &String| format!("      {{ {kind}: {{ account: {CENTRE_ACCOUNT}, subject: {to:?} }} }}");
    services.iter().for_each(|to| line(from("service", to)));
    streams.iter().for_each(|to| line(from("stream", to)));
    line(format!(
        "    ]\n  }}\n  {READERS_ACCOUNT} {{\n    users: [ {{ nkey: {} }} ]\n    imports: [",
        user(&keys.reader)
    ));
    prefix.services_for_readers().iter().for_each(|to| line(from("service", to)));
    prefix.streams_for_readers().iter().for_each(|to| line(from("stream", to)));
    line("    ]\n  }".into());
    line(format!("  {ANSWERERS_ACCOUNT} {{ users: [ {{ nkey: {} }} ] }}", user(&keys.answerer)));
    let warden = format!("{{ nkey: {}, permissions: {} }}", user(&keys.warden), listed(&warden));
    line(format!("  {SYSTEM_ACCOUNT} {{ users: [ {warden} ] }}\n}}"));
    text
}

fn listed(Permissions { publish, subscribe }: &Permissions) -> String {
    format!("{{ publish: {{ allow: {publish:?} }}, subscribe: {{ allow: {subscribe:?} }} }}")
}
