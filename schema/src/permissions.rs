//! What each user of NATS may publish and hear, where NATS has an account for the servers and one for the nodes.
//!
//! NATS checks where a client publishes, and never where it wants the answer. So the streams live in an account that nodes are not in:
//! what JetStream answers stays among nodes. The lists here name no more than their user needs.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::address::{Bucket, NEWEST_CHECKPOINT, Prefix};
use crate::id::{JoinTokenId, NodeId};
use crate::rpc::RpcVerb;

/// The account of the servers and of all streams.
pub const CENTRE_ACCOUNT: &str = "CFG";
/// The account of programs that only read the event stream.
pub const READERS_ACCOUNT: &str = "READERS";
/// The account of the nodes.
pub const NODES_ACCOUNT: &str = "NODES";
/// Proposals that a node may have at once, each under a key of its own.
pub const PROPOSAL_PLACES: usize = 8;

/// The subjects that a user may publish to, and those that it may subscribe to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// It may publish to these.
    pub publish: Vec<String>,
    /// It may subscribe to these.
    pub subscribe: Vec<String>,
}

/// The prefix of a node's inboxes: no other node may hear them.
#[must_use]
pub fn node_inbox(node: &NodeId) -> String {
    format!("_INBOX_{node}")
}

/// The prefix of the inboxes of whoever joins with a token.
#[must_use]
pub fn joiner_inbox(token: &JoinTokenId) -> String {
    format!("_LOBBY.{token}")
}

impl Prefix {
    /// What a node may do: write its own report and proposals, ask, and read its own record, its verdicts, keys and content.
    #[must_use]
    pub fn node_permissions(&self, node: &NodeId) -> Permissions {
        let mut publish = self.published_by(node.as_str());
        publish.retain(|subject| !subject.starts_with(&self.bucket_subject(Bucket::Proposed, "")));
        publish.extend(
            (0..PROPOSAL_PLACES).map(|place| self.bucket_subject(Bucket::Proposed, &format!("{node}.p{place}"))),
        );
        let subscribe =
            Vec::from([format!("{}.>", node_inbox(node)), self.bucket_subject(Bucket::Desired, node.as_str())]);
        Permissions { publish, subscribe }
    }

    /// What whoever joins with a token may do: ask to join, and hear the answer.
    #[must_use]
    pub fn joiner_permissions(&self, token: &JoinTokenId) -> Permissions {
        Permissions {
            publish: Vec::from([self.join_subject(token)]),
            subscribe: Vec::from([format!("{}.>", joiner_inbox(token))]),
        }
    }

    /// What a node without keys may do, as long as the password that all nodes share opens NATS: what each node may, for any node.
    #[must_use]
    pub fn open_permissions(&self) -> Permissions {
        Permissions {
            publish: self.published_by("*"),
            subscribe: Vec::from([String::from("_INBOX.>"), self.bucket_subject(Bucket::Desired, "*")]),
        }
    }

    /// The subjects on which the servers' account answers the nodes' account.
    #[must_use]
    pub fn services_for_nodes(&self) -> Vec<String> {
        let mut services = self.published_by("*");
        services.push(format!("{self}.join.*"));
        services
    }

    /// The subjects that the nodes' account hears of the servers' account.
    #[must_use]
    pub fn streams_for_nodes(&self) -> Vec<String> {
        Vec::from([self.bucket_subject(Bucket::Desired, "*")])
    }

    /// What a server with role `door` may do: read the streams and hear reports. It publishes no event, record or verdict.
    #[must_use]
    pub fn door_permissions(&self) -> Permissions {
        let streams = [Bucket::Reported, Bucket::Desired, Bucket::Checkpoint, Bucket::Keys]
            .map(|bucket| self.bucket_stream(bucket));
        let streams = streams.into_iter().chain([self.event_stream(), self.stray_stream()]);
        Permissions { publish: streams.flat_map(|stream| reading(&stream)).collect(), subscribe: every_inbox() }
    }

    /// The subjects on which the servers' account answers programs that only read the event stream. They make no consumer: it would
    /// deliver wherever its maker wants.
    #[must_use]
    pub fn services_for_readers(&self) -> Vec<String> {
        let events = self.event_stream();
        Vec::from([format!("$JS.API.STREAM.INFO.{events}"), format!("$JS.API.DIRECT.GET.{events}")])
    }

    /// The subjects that these programs hear of the servers' account.
    #[must_use]
    pub fn streams_for_readers(&self) -> Vec<String> {
        Vec::from([self.event_subjects()])
    }

    /// The subject on which a node asks to join with a token.
    #[must_use]
    pub fn join_subject(&self, token: &JoinTokenId) -> String {
        format!("{self}.join.{token}")
    }

    /// The wildcard subject of all requests to join.
    #[must_use]
    pub fn join_subjects(&self) -> String {
        format!("{self}.join.*")
    }

    /// What a node publishes to; with `*`, what any node does.
    fn published_by(&self, node: &str) -> Vec<String> {
        let direct = |bucket: Bucket, key: &str| {
            format!("$JS.API.DIRECT.GET.{}.{}", self.bucket_stream(bucket), self.bucket_subject(bucket, key))
        };
        let [_, blob_meta] = self.blob_subjects();
        let requests = RpcVerb::ALL.map(|verb| format!("{self}.rpc.{node}.{}", verb.name()));
        let mut subjects = Vec::from([
            self.bucket_subject(Bucket::Reported, node),
            self.bucket_subject(Bucket::Proposed, &format!("{node}.*")),
            direct(Bucket::Desired, node),
            direct(Bucket::Reported, node),
            direct(Bucket::Verdict, &format!("{node}.*")),
            format!("$JS.API.DIRECT.GET.{}", self.bucket_stream(Bucket::Keys)),
            direct(Bucket::Checkpoint, NEWEST_CHECKPOINT),
            format!("$JS.API.DIRECT.GET.{}", self.blob_stream()),
            format!("$JS.API.DIRECT.GET.{}.{}", self.blob_stream(), blob_meta.replace(".>", ".*")),
        ]);
        subjects.extend(requests);
        subjects
    }
}

/// What reading a stream takes: its state, single messages, and a consumer.
fn reading(stream: &str) -> [String; 8] {
    [
        format!("$JS.API.STREAM.INFO.{stream}"),
        format!("$JS.API.DIRECT.GET.{stream}"),
        format!("$JS.API.DIRECT.GET.{stream}.>"),
        format!("$JS.API.CONSUMER.CREATE.{stream}.>"),
        format!("$JS.API.CONSUMER.INFO.{stream}.*"),
        format!("$JS.API.CONSUMER.DELETE.{stream}.*"),
        format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.*"),
        format!("$JS.FC.{stream}.>"),
    ]
}

fn every_inbox() -> Vec<String> {
    Vec::from([String::from("_INBOX.>")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_publishes_under_its_own_name_only_and_what_it_does_is_exported() {
        let (prefix, node) = (Prefix::default(), "n-1".parse().expect("an id"));
        let Permissions { publish, subscribe } = prefix.node_permissions(&node);
        assert!(
            publish.contains(&"$KV.cfg_reported.n-1".into()) && publish.contains(&"$KV.cfg_proposed.n-1.p7".into())
        );
        assert!(!publish.iter().any(|subject| subject.contains("CONSUMER") || subject.contains("cfg_events")));
        assert_eq!(subscribe, ["_INBOX_n-1.>", "$KV.cfg_desired.n-1"]);
        let services = prefix.services_for_nodes();
        for subject in &publish {
            assert!(services.iter().any(|service| covers(service, subject)), "{subject} is not exported");
        }
        let token = "t-1".parse().expect("an id");
        assert!(prefix.joiner_permissions(&token).publish.iter().all(|to| services.iter().any(|it| covers(it, to))));
    }

    /// Whether a subject with `*` for single tokens covers another one.
    fn covers(wide: &str, narrow: &str) -> bool {
        let (wide, narrow): (Vec<&str>, Vec<&str>) = (wide.split('.').collect(), narrow.split('.').collect());
        wide.len() == narrow.len() && wide.iter().zip(&narrow).all(|(wide, narrow)| *wide == "*" || wide == narrow)
    }
}
