//! The server that a command line means: what is given, and for the rest the context.
//!
//! Always: the token and the CA of a context go to its own URL only; where a context is used, the server must have its log, whatever
//! the URL is.

use schema::id::{Id, LogId};
use tls::plain::PlainOption;

use crate::endpoint::{BearerToken, CaOption, Options, ServerUrl};
use crate::error::Error;
use crate::stored_context::context_error::ContextError;
use crate::stored_context::context_file::{ContextFile, path as context_path};
use crate::stored_context::server_context::ServerContext;

/// A server, and with what it is asked.
#[derive(Clone, Debug)]
pub(crate) struct ServerAccess {
    pub(crate) url: ServerUrl,
    pub(crate) token: BearerToken,
    pub(crate) authorities: CaOption,
    /// The log that the server must have, if a context says so.
    pub(crate) pinned: Option<PinnedLog>,
}

/// A log, and the context that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PinnedLog {
    pub(crate) context: Id,
    pub(crate) log_id: LogId,
}

impl ServerAccess {
    /// What the options mean.
    ///
    /// # Errors
    /// If there is no such context, it can't be used, there is no token, or the token would be sent to another machine in the clear.
    pub(crate) fn of(options: &Options) -> Result<Self, Error> {
        let found = FoundContext::of(options)?;
        let url = options.url.clone().or_else(|| found.as_ref().map(|found| found.url.clone()));
        let url = url.unwrap_or_else(ServerUrl::of_this_machine);
        let own = found.as_ref().filter(|found| found.url == url);
        let plain = PlainOption { plain: options.plain.plain || own.is_some_and(|own| own.stored.plain) };
        url.check_plain(plain)?;
        let token = match (&options.token, own, &found) {
            (Some(token), _, _) => token.clone(),
            (None, Some(own), _) => own.token()?,
            (None, None, Some(found)) => return Err(ContextError::OtherUrl(found.name.clone()).into()),
            (None, None, None) => return Err(ContextError::NoToken.into()),
        };
        let given = options.authorities.ca_file.clone();
        let ca_file = given.or_else(|| own.and_then(|own| own.stored.ca_file.clone()));
        let pinned = found.map(|found| PinnedLog { context: found.name, log_id: found.stored.log_id });
        Ok(Self { url, token, authorities: CaOption { ca_file }, pinned })
    }
}

/// The context that counts.
struct FoundContext {
    name: Id,
    url: ServerUrl,
    stored: ServerContext,
}

impl FoundContext {
    /// The one that is named, or else the default, unless a URL is given.
    fn of(options: &Options) -> Result<Option<Self>, ContextError> {
        let file = match (&options.context, &options.url, context_path()) {
            (Some(_), _, path) => ContextFile::read(&path?)?,
            (None, None, Ok(path)) => ContextFile::read(&path)?,
            // Programs of a system may have no home, and then no contexts.
            (None, Some(_), _) | (None, None, Err(_)) => return Ok(None),
        };
        let Some(name) = options.context.as_ref().or(file.default.as_ref()) else { return Ok(None) };
        let stored = file.find(name)?.clone();
        let parsed = stored.url.parse();
        let url = parsed.map_err(|error| ContextError::Url { name: name.clone(), why: format!("{error}") })?;
        Ok(Some(Self { name: name.clone(), url, stored }))
    }

    fn token(&self) -> Result<BearerToken, ContextError> {
        match &self.stored.token {
            Some(source) => source.token(&self.name),
            None => Err(ContextError::NoToken),
        }
    }
}
