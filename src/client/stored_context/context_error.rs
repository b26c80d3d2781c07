//! Why a context can't be used.

use std::path::PathBuf;

use schema::id::Id;

/// A context, or the file of contexts, can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContextError {
    /// A file can't be read or written, or others may read it.
    #[error("the file {} can't be used: {why}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// The file of contexts is not what `headwater context` writes.
    #[error("the file {} has no contexts of this version: {why}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What can't be read.
        why: String,
    },
    /// There is no place for the file.
    #[error("there is no place for contexts: neither XDG_CONFIG_HOME nor HOME is an absolute path")]
    NoFolder,
    /// No context has the name.
    #[error("there is no context {0}: `headwater context list` shows those that there are")]
    Unknown(Id),
    /// A context has the name already.
    #[error("context {0} exists already: remove it first, or take another name")]
    Exists(Id),
    /// Nothing says with which token to authenticate.
    #[error(
        "no token is given: set HEADWATER_TOKEN, or choose a context with --context or HEADWATER_CONTEXT (`headwater context add` makes one)"
    )]
    NoToken,
    /// The context has a token, and the request goes elsewhere.
    #[error(
        "the token of context {0} is for its own URL only: set HEADWATER_TOKEN for another one, or leave the URL out"
    )]
    OtherUrl(Id),
    /// The file was changed by hand, and the URL is none.
    #[error("the URL of context {name} can't be used: {why}")]
    Url {
        /// The context.
        name: Id,
        /// Why not.
        why: String,
    },
    /// The token of a context can't be had.
    #[error("context {name} gives no token: {why}")]
    Token {
        /// The context.
        name: Id,
        /// Why not.
        why: String,
    },
}
