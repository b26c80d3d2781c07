//! Answers whoever joins with a token: what is asked becomes a command by actor `join/<token>`, and is decided at the head of the log.

use async_nats::HeaderMap;
use schema::address::Prefix;
use schema::command::{Command, JoinNode};
use schema::entity::Actor;
use schema::id::JoinTokenId;
use schema::join::{JoinRequest, TOKEN_SIGNATURE_HEADER};
use schema::request::Request;
use schema::rpc::{RpcError, RpcReply};
use schema::say::{SIGNATURE_HEADER, Statement};
use schema::wire::WireRecord as _;

use crate::event_log::EventLog;
use crate::fleet::rpc_requests;

/// Answers a request to join.
pub(crate) async fn answer(
    source: &dyn EventLog,
    prefix: &Prefix,
    subject: &str,
    headers: Option<&HeaderMap>,
    message: &[u8],
) -> RpcReply {
    let asked = match read(source, prefix, subject, headers, message) {
        Ok(join) => {
            let actor = Actor::Join(join.token.clone());
            let reason = Some(format!("node {} joins", join.node));
            let request = Request { reason, ..Request::of([Command::JoinNode(join)]) };
            rpc_requests::command(source, actor, None, request).await
        }
        Err(fault) => Err(fault),
    };
    rpc_requests::reply(source, message, asked)
}

/// Reads a request. Both signatures are needed: the token's says that its holder asks, the node's that it has the keys it names.
fn read(
    source: &dyn EventLog,
    prefix: &Prefix,
    subject: &str,
    headers: Option<&HeaderMap>,
    message: &[u8],
) -> Result<JoinNode, RpcError> {
    let invalid = |code: &str, field: &str, detail: &str| RpcError::new(code, field, detail);
    let token = subject.strip_prefix(&prefix.join_subjects().replace('*', "")).unwrap_or_default();
    let token: JoinTokenId = token.parse().map_err(|_| invalid("invalid_id", "", "the subject names no token"))?;
    let JoinRequest { token: named, node, keys, .. } = JoinRequest::read(message)?;
    if named != token {
        return Err(invalid("not_permitted", "token", "this is another token's subject"));
    }
    schema::command::check_keys(&keys)?;
    let view = source.view();
    let Some(known) = view.identities().tokens().get(&token) else {
        // NATS let its holder in, so another server has seen it: this one will soon.
        return Err(invalid(RpcError::UNAVAILABLE, "token", "this server does not know the join token yet"));
    };
    let text = |name: &str| headers.and_then(|headers| headers.get(name)).map_or("", |value| value.as_str());
    let by_token = known
        .created
        .key
        .key()
        .is_some_and(|key| Statement::Join.is_signed(&key, message, text(TOKEN_SIGNATURE_HEADER)));
    let by_node = keys.say.key().is_some_and(|key| Statement::Join.is_signed(&key, message, text(SIGNATURE_HEADER)));
    match by_token && by_node {
        true => Ok(JoinNode { token, node, keys }),
        false => Err(invalid("bad_signature", "", "it is not signed by the token and by the key `say` of the node")),
    }
}
