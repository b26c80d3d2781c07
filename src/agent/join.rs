//! `headwater edge join`: a node asks to be let in with a token, and pins what the token says of the log.
//!
//! The same request may be sent again: the answer may have been lost, and a node that has joined is told so again. A folder belongs to the
//! node only once the log has let it in: whoever is refused may ask again under another id.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::{HeaderMap, StatusCode};
use bus::connect::{AddressError, Link, NatsAccess};
use bus::identity::{BusIdentity, KeyHolder};
use bus::options::NatsOptions;
use bus::transport::NatsTlsOptions;
use futures::StreamExt as _;
use program::durable_file::{self, FileMode};
use program::exit::ExitClass;
use schema::address::Prefix;
use schema::id::{LogId, NodeId};
use schema::invalid::InputError;
use schema::join::{JoinLine, JoinRequest, TOKEN_SIGNATURE_HEADER};
use schema::permissions::joiner_inbox;
use schema::rpc::RpcReply;
use schema::say::{SIGNATURE_HEADER, Statement};
use schema::seal::SecretKey;
use schema::wire::WireRecord as _;
use tokio::time::{sleep, timeout};

use crate::apply_error::ApplyError;
use crate::node_folder::{NodeFolder, OpenError};
use crate::node_seed::{NodeSeed, NodeSeedError};
use crate::node_state::PinnedKey;
use crate::options::JoinOptions;

/// How long one answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Why there is no reply, where NATS has let the token in.
const NOBODY_ANSWERS: &str = "NATS lets the token in, and no server of Headwater answers the request to join at the moment: is `headwater serve` \
                              running, with role `all` or `reconciler`?";
/// The pause between two attempts.
const REST: Duration = Duration::from_millis(500);

/// Why a node did not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The line is no token.
    #[error("{}", .0.detail)]
    Line(InputError),
    /// Nobody says which node it is.
    #[error("the token is for any node: name this one with --node")]
    NoNode,
    /// The token names another node.
    #[error("the token is for node {0}: leave --node away, or ask for another token")]
    OtherNode(NodeId),
    /// The token's URL of NATS names a user, who would come in and not the token.
    #[error(
        "the token's URL of NATS has a user in it, and a node comes in by its own key: ask for a token with the host and port alone"
    )]
    UserInUrl,
    /// The folder can't be used.
    #[error(transparent)]
    Folder(#[from] OpenError),
    /// The seed can't be used.
    #[error(transparent)]
    Seed(#[from] NodeSeedError),
    /// A file can't be written.
    #[error(transparent)]
    Disk(#[from] ApplyError),
    /// The token names no NATS.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The log refused.
    #[error("refused, {code}: {detail}")]
    Refused {
        /// The stable code.
        code: String,
        /// The reason.
        detail: String,
    },
    /// The server serves another log by now.
    #[error("the token is of log {said}, and the server serves log {answered}: ask for another token")]
    OtherLog {
        /// Of the token.
        said: LogId,
        /// Of the server.
        answered: LogId,
    },
    /// No answer in time.
    #[error("no answer within {} s: {why}", .within.as_secs())]
    NoAnswer {
        /// The limit.
        within: Duration,
        /// What came last.
        why: String,
    },
}

impl JoinError {
    /// The class of the exit code.
    #[must_use]
    pub fn exit_class(&self) -> ExitClass {
        match self {
            Self::NoAnswer { .. } => ExitClass::Unreachable,
            Self::NoNode | Self::UserInUrl | Self::Address(_) => ExitClass::Usage,
            _ => ExitClass::Refused,
        }
    }
}

/// What a node joined.
#[derive(Debug)]
pub struct Joined {
    /// The node.
    pub node: NodeId,
    /// The line that it joined with.
    pub line: JoinLine,
}

/// What a token says, with the node that joins.
struct CheckedLine {
    line: JoinLine,
    node: NodeId,
    prefix: Prefix,
    trust: PinnedKey,
}

impl CheckedLine {
    fn of(options: &JoinOptions, text: &str) -> Result<Self, JoinError> {
        let line = JoinLine::parse(text).map_err(JoinError::Line)?;
        if line.nats.contains('@') {
            return Err(JoinError::UserInUrl);
        }
        let node = match (&options.node, &line.node) {
            (Some(asked), Some(only)) if asked != only => return Err(JoinError::OtherNode(only.clone())),
            (Some(node), _) | (None, Some(node)) => node.clone(),
            (None, None) => return Err(JoinError::NoNode),
        };
        let prefix: Prefix = line.prefix.parse().map_err(JoinError::Line)?;
        let key =
            line.trust.key().ok_or_else(|| JoinError::Line(InputError::new("invalid_value", "its key is no key")));
        Ok(Self { node, prefix, trust: PinnedKey(key?), line })
    }

    fn nats(&self, nats_ca_file: Option<PathBuf>) -> NatsOptions {
        let tls = NatsTlsOptions { nats_ca_file, ..NatsTlsOptions::default() };
        NatsOptions::new(self.line.nats.clone(), None, tls, self.prefix.clone())
    }
}

/// Joins with the token in `text`.
///
/// # Errors
/// If the token can't be used, the log refuses, or nobody answers in time. The node's folder has a seed then, if the token could be used, and
/// belongs to no node if it belonged to none before.
pub async fn join(options: &JoinOptions, text: &str) -> Result<Joined, JoinError> {
    let checked = CheckedLine::of(options, text)?;
    let CheckedLine { line, node, prefix, trust } = &checked;
    let mut folder = NodeFolder::lock_for(&options.dir, node)?;
    folder.may_follow(trust, line.log_id)?;
    let seed = NodeSeed::read_or_create(folder.layout())?;
    let ca_file = line.ca.as_ref().map(|_| folder.layout().nats_ca());
    if let (Some(ca), Some(path)) = (&line.ca, &ca_file) {
        durable_file::replace(path, ca.as_bytes(), FileMode::Exact(0o644)).map_err(ApplyError::disk("write", path))?;
    }
    let token = SecretKey::from_seed(&line.seed);
    let identity = BusIdentity::of(token.clone()).hearing(joiner_inbox(&line.token), KeyHolder::Joiner);
    let name = format!("headwater-edge join {node}");
    let link = checked.nats(ca_file).connect_as::<JoinError>(options.plain, &identity, &name).await?;
    let request = JoinRequest {
        v: JoinRequest::NEWEST,
        // The same request again is the same.
        id: format!("{}-{node}", line.token),
        token: line.token.clone(),
        node: node.clone(),
        keys: seed.keys(),
    };
    let within = Duration::from_secs(options.timeout_s);
    let mut why = String::new();
    let say = seed.say();
    let asked = ask(&link, prefix, &request, (&token, &say), &mut why);
    match timeout(within, asked).await {
        Ok(Ok(log_id)) if log_id != line.log_id => Err(JoinError::OtherLog { said: line.log_id, answered: log_id }),
        Ok(Ok(_)) => {
            folder.join(trust, line.log_id)?;
            let CheckedLine { line, node, .. } = checked;
            Ok(Joined { node, line })
        }
        Ok(Err(refused)) => Err(refused),
        Err(_) => {
            let is_refused = matches!(link.access(), NatsAccess::Refused(..));
            let why = if link.is_up() && !is_refused { why } else { link.unreachable_reason() };
            Err(JoinError::NoAnswer { within, why })
        }
    }
}

/// Asks until there is an answer that is final.
async fn ask(
    link: &Link,
    prefix: &Prefix,
    request: &JoinRequest,
    (token, say): (&SecretKey, &SecretKey),
    why: &mut String,
) -> Result<LogId, JoinError> {
    let message = request.write();
    let mut headers = HeaderMap::new();
    headers.insert(SIGNATURE_HEADER, Statement::Join.sign(say, &message));
    headers.insert(TOKEN_SIGNATURE_HEADER, Statement::Join.sign(token, &message));
    loop {
        link.up().await;
        match ask_once(link, prefix, request, headers.clone(), &message).await {
            Ok(RpcReply { error: None, log_id, .. }) => return Ok(log_id),
            Ok(RpcReply { error: Some(fault), .. }) if !fault.is_transient() => {
                return Err(JoinError::Refused { code: fault.code, detail: fault.detail });
            }
            Ok(RpcReply { error: Some(fault), .. }) => *why = fault.detail,
            Err(failed) => *why = failed,
        }
        sleep(REST).await;
    }
}

async fn ask_once(
    link: &Link,
    prefix: &Prefix,
    request: &JoinRequest,
    headers: HeaderMap,
    message: &[u8],
) -> Result<RpcReply, String> {
    let (client, subject) = (link.client(), prefix.join_subject(&request.token));
    let inbox = client.new_inbox();
    let mut replies = client.subscribe(inbox.clone()).await.map_err(|error| error.to_string())?;
    let sent = client.publish_with_reply_and_headers(subject, inbox, headers, message.to_vec().into());
    sent.await.map_err(|error| error.to_string())?;
    let answered = async {
        while let Some(reply) = replies.next().await {
            if reply.status == Some(StatusCode::NO_RESPONDERS) {
                return Err(NOBODY_ANSWERS.to_owned());
            }
            match RpcReply::read(&reply.payload) {
                Ok(reply) if reply.id.as_deref() == Some(&request.id) => return Ok(reply),
                _ => {}
            }
        }
        Err("the connection to NATS has ended".to_owned())
    };
    timeout(ANSWER_WITHIN, answered).await.map_err(|_| "no reply came".to_owned())?
}
