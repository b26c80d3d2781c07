//! `headwater context`: servers by name, each with its log and with where its token comes from.
//!
//! The module `stored_context` has the file that keeps them. Commands use them through [`crate::endpoint`].
//! Always: a context that is added names the log that its server has.

use std::path::{Path, PathBuf};

use api::log::LogStatus;
use api::path::LOG;
use clap::{Args, Subcommand};
use program::output;
use schema::id::{Id, LogId};
use serde_json::{Value, json};

use crate::api_client::ApiClient;
use crate::endpoint::{BearerToken, CaOption, Options as Endpoint, ServerUrl};
use crate::error::Error as ClientError;
use crate::exchange::Error;
use crate::get::table::{Column, ColumnStyle, format_table};
use crate::get::terminal_width;
use crate::stored_context::context_error::ContextError;
use crate::stored_context::context_file::{ContextFile, path as context_path};
use crate::stored_context::server_context::{ServerContext, TokenSource};
use tls::plain::PlainOption;

/// Variables that win over the default context.
const VARIABLES: [&str; 2] = ["HEADWATER_CONTEXT", "HEADWATER_URL"];

const COLUMNS: [Column; 5] = [
    Column { head: "NAME", places: &["/name"], style: ColumnStyle::Whole },
    Column { head: "DEFAULT", places: &["/default"], style: ColumnStyle::Whole },
    Column { head: "URL", places: &["/url"], style: ColumnStyle::Long },
    Column { head: "LOG", places: &["/log_id"], style: ColumnStyle::Whole },
    Column { head: "TOKEN", places: &["/token"], style: ColumnStyle::Long },
];

/// Which servers have names.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Contexts are in $XDG_CONFIG_HOME/headwater/contexts.json (or below ~/.config), which only its owner may read. A context gives what flags and
variables do not: --url and HEADWATER_URL, HEADWATER_TOKEN and the others win. Its token and its CA go to its own URL only.

Examples:
  headwater context add lund --url https://lund.example --token-file lund.token
  headwater context add test --url http://127.0.0.1:1 --token-command 'pass t'
  headwater context use lund                      from now on, in every shell
  HEADWATER_CONTEXT=test headwater get nodes      this once")]
pub struct Options {
    #[command(subcommand)]
    action: ContextAction,
}

#[derive(Clone, Debug, Subcommand)]
enum ContextAction {
    /// Give a server a name: asks it which log it has, and keeps that
    Add(Box<AddContext>),
    /// List the contexts
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make a context the default. A shell with HEADWATER_CONTEXT or HEADWATER_URL keeps that
    Use {
        /// The context.
        #[arg(value_name = "NAME")]
        name: Id,
    },
    /// Forget a context. The server and the token stay as they are
    Remove {
        /// The context.
        #[arg(value_name = "NAME")]
        name: Id,
    },
}

#[derive(Clone, Debug, Args)]
struct AddContext {
    /// The name, such as lund or test.
    #[arg(value_name = "NAME")]
    name: Id,

    /// The URL of the server, https:// unless it is on this machine.
    #[arg(long, env = "HEADWATER_URL", value_name = "URL")]
    url: ServerUrl,

    /// A file with the token, which only its owner may read.
    #[arg(long, value_name = "FILE", conflicts_with = "token_command")]
    token_file: Option<PathBuf>,

    /// A command for sh whose output is the token. Without it and without a file, HEADWATER_TOKEN is needed each time.
    #[arg(long, value_name = "COMMAND")]
    token_command: Option<String>,

    /// The token to ask the server with, if the context has none. It is not kept.
    #[arg(long, env = "HEADWATER_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    token: Option<BearerToken>,

    #[command(flatten)]
    authorities: CaOption,

    #[command(flatten)]
    plain: PlainOption,
}

/// Does what the command says.
///
/// # Errors
/// If the file can't be used, the server refuses or can't be reached, or the output can't be written.
pub async fn run(options: Options) -> Result<(), Error> {
    match options.action {
        ContextAction::Add(add) => add.run().await,
        ContextAction::List { json } => list(json),
        ContextAction::Use { name } => use_by_default(name),
        ContextAction::Remove { name } => remove(&name),
    }
}

impl AddContext {
    async fn run(self) -> Result<(), Error> {
        let path = context_path().map_err(ClientError::from)?;
        // Whether it can be added is known before the server is asked.
        ContextFile::read(&path).and_then(|file| file.check_new(&self.name)).map_err(ClientError::from)?;
        let token_source = self.token_source().map_err(ClientError::from)?;
        let token = match &token_source {
            Some(source) => source.token(&self.name).map_err(ClientError::from)?,
            None => self.token.clone().ok_or(ContextError::NoToken).map_err(ClientError::from)?,
        };
        let ca_file = self.authorities.ca_file.as_deref().map(absolute).transpose().map_err(ClientError::from)?;
        let endpoint = Endpoint::of(self.url.clone(), token, CaOption { ca_file: ca_file.clone() }, self.plain);
        let log: LogStatus = ApiClient::from_options(&endpoint)?.get(LOG).await?;
        let context = ServerContext {
            url: self.url.to_string(),
            log_id: log.log_id,
            token: token_source,
            ca_file,
            plain: self.plain.plain,
        };
        let log_id = context.log_id;
        let added = ContextFile::change(&path, |file| file.add(self.name.clone(), context));
        added.map_err(ClientError::from)?;
        output::text(&added_text(&self.name, &self.url, log_id))?;
        Ok(())
    }

    fn token_source(&self) -> Result<Option<TokenSource>, ContextError> {
        Ok(match (&self.token_file, &self.token_command) {
            (Some(file), _) => Some(TokenSource::File(absolute(file)?)),
            (None, Some(command)) => Some(TokenSource::Command(command.clone())),
            (None, None) => None,
        })
    }
}

fn added_text(name: &Id, url: &ServerUrl, log_id: LogId) -> String {
    format!("Context {name} is log {log_id} at {url}. To make it the default: headwater context use {name}\n")
}

/// A context is used from any folder.
fn absolute(path: &Path) -> Result<PathBuf, ContextError> {
    std::path::absolute(path).map_err(|error| ContextError::File { path: path.to_owned(), why: error.to_string() })
}

fn read() -> Result<ContextFile, ClientError> {
    Ok(ContextFile::read(&context_path()?)?)
}

fn list(json: bool) -> Result<(), Error> {
    let file = read()?;
    let rows: Vec<Value> = file.contexts.iter().map(|(name, context)| row(&file, name, context)).collect();
    if json {
        output::json(&Value::Array(rows).to_string())?;
    } else if rows.is_empty() {
        output::complain("no contexts found: `headwater context add` makes one");
    } else {
        output::text(&format_table(&COLUMNS, &rows, terminal_width()))?;
    }
    Ok(())
}

fn row(file: &ContextFile, name: &Id, context: &ServerContext) -> Value {
    let token = match &context.token {
        Some(TokenSource::File(file)) => format!("file {}", file.display()),
        Some(TokenSource::Command(command)) => format!("command {command}"),
        None => "HEADWATER_TOKEN".to_owned(),
    };
    let default = file.default.as_ref() == Some(name);
    json!({"name": name, "default": default, "url": context.url, "log_id": context.log_id, "token": token,
        "ca_file": context.ca_file, "plain": context.plain})
}

fn use_by_default(name: Id) -> Result<(), Error> {
    let path = context_path().map_err(ClientError::from)?;
    ContextFile::change(&path, |file| file.make_default(name.clone())).map_err(ClientError::from)?;
    output::text(&format!("Context {name} is the default.\n"))?;
    for variable in VARIABLES {
        if let Ok(value) = std::env::var(variable) {
            output::complain(&format!("this shell goes on with {variable}={value}: variables win"));
        }
    }
    Ok(())
}

fn remove(name: &Id) -> Result<(), Error> {
    let path = context_path().map_err(ClientError::from)?;
    ContextFile::change(&path, |file| file.remove(name)).map_err(ClientError::from)?;
    output::text(&format!("Context {name} is removed. Its server and its token stay as they are.\n"))?;
    Ok(())
}
