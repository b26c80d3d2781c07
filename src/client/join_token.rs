//! `headwater node token`: makes, lists and revokes the tokens with which nodes join.
//!
//! The key of a token is made here. The server gets its public half only; the secret half is in the line that is printed, once.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use api::join_token::JoinTokenView;
use api::log::LogStatus;
use api::path::{JOIN_TOKENS, LOG};
use clap::{Args, Subcommand};
use program::output;
use schema::id::{JoinTokenId, NodeId};
use schema::join::JoinLine;
use schema::labels::Labels;
use schema::node_keys::KeyBytes;
use schema::seal::SecretKey;
use schema::wire::WireRecord as _;
use serde_json::json;
use tls::plain::{PlainOption, is_loopback};
use url::Url;

use crate::api_client::{ApiClient, CommandRequest};
use crate::duration::parse_duration;
use crate::node_access::{Common, Error};

/// What an administrator does about the tokens with which nodes join.
#[derive(Clone, Debug, Subcommand)]
pub enum JoinTokenCommand {
    /// Make a token, and print the line with which a node joins
    Create(CreateTokenOptions),
    /// Show all tokens, and who joined with them
    List(ListJoinTokens),
    /// End a token; nodes that joined with it stay
    Revoke(RevokeJoinToken),
}

/// Makes a token with which nodes join.
#[derive(Clone, Debug, Args)]
pub struct CreateTokenOptions {
    /// The only node that may join with it, be it new, retired, or on another machine now. Without it any id may join that was never
    /// enrolled.
    #[arg(long, value_name = "ID")]
    pub node: Option<NodeId>,

    /// A label of the nodes that are enrolled by it, as key=value; may be given again.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub labels: Vec<(String, String)>,

    /// How many nodes may join with it.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub uses: u32,

    /// For how long nodes may join with it: from a minute to 90 days, such as 30m, 24h or 7d.
    #[arg(long = "for", value_name = "TIME", default_value = "24h", value_parser = lasting)]
    pub lasts: Duration,

    /// Where nodes find NATS: tls://host:port, several separated by commas. nats:// is for nodes on the machine of NATS, and needs --plain for
    /// another one, as it does on the nodes.
    #[arg(long, env = "HEADWATER_NATS_URL", value_name = "URL", hide_env_values = true)]
    pub nats_url: String,

    /// What all names in NATS begin with, as given to `headwater install`.
    #[arg(long, env = "HEADWATER_NATS_PREFIX", value_name = "PREFIX", default_value = "cfg")]
    pub nats_prefix: schema::address::Prefix,

    /// A file with the certificates by which nodes verify NATS, if it has some of a CA of your own.
    #[arg(long, env = "HEADWATER_NATS_CA_FILE", value_name = "FILE")]
    pub nats_ca_file: Option<PathBuf>,

    #[command(flatten)]
    common: Common,
}

/// Lists the tokens.
#[derive(Clone, Debug, Args)]
pub struct ListJoinTokens {
    #[command(flatten)]
    common: Common,
}

/// Ends a token.
#[derive(Clone, Debug, Args)]
pub struct RevokeJoinToken {
    /// The id of the token, as `headwater node token list` shows it.
    id: JoinTokenId,

    #[command(flatten)]
    common: Common,
}

/// Where the nodes of a token find NATS, and how they verify it.
#[derive(Clone, Debug)]
pub struct NatsPlace {
    /// The URLs, without credentials.
    pub url: String,
    /// What the names begin with.
    pub prefix: String,
    /// The certificates in PEM.
    pub ca: Option<String>,
}

/// What a token is for.
#[derive(Clone, Debug)]
pub struct JoinTokenRequest {
    /// The only node.
    pub node: Option<NodeId>,
    /// The labels of a node that is enrolled.
    pub labels: Labels,
    /// How many nodes may join.
    pub uses: u32,
    /// For how many seconds.
    pub for_s: u64,
}

/// Whether nodes can connect to this URL of NATS: what they would refuse is refused before there is a token.
fn check_nats_url(text: &str, plain: PlainOption) -> Result<(), Error> {
    if text.contains('@') {
        return Err(Error::Credentials);
    }
    let mut schemes = BTreeSet::new();
    for part in text.split(',') {
        let url = Url::parse(part).ok().filter(|url| ["nats", "tls"].contains(&url.scheme()));
        let Some((host, url)) = url.as_ref().and_then(|url| Some((url.host_str()?, url))) else {
            return Err(Error::NatsUrl(part.to_owned()));
        };
        let is_safe = url.scheme() == "tls" || is_loopback(host);
        let remedy = "begin it with tls://, and give the CA with --nats-ca-file";
        plain.allow(is_safe, "--nats-url", part, remedy).map_err(Error::PlainNats)?;
        schemes.insert(url.scheme().to_owned());
    }
    if schemes.len() == 1 { Ok(()) } else { Err(Error::NatsUrl(text.to_owned())) }
}

fn lasting(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| format!("`{text}` is no time such as 30m, 24h or 7d"))
}

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not KEY=VALUE"))?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Does what the command says.
///
/// # Errors
/// If the server refuses or can't be reached, or the output can't be written.
pub async fn run(command: JoinTokenCommand) -> Result<(), Error> {
    match command {
        JoinTokenCommand::Create(create) => create.run().await,
        JoinTokenCommand::List(list) => list.run().await,
        JoinTokenCommand::Revoke(revoke) => revoke.run().await,
    }
}

/// Makes a token, and gives the line for the node. The secret half of its key is nowhere else.
///
/// # Errors
/// If the server refuses or can't be reached, or the machine gives no random bytes.
pub async fn create(client: &ApiClient, nats: &NatsPlace, asked: JoinTokenRequest) -> Result<JoinLine, Error> {
    let JoinTokenRequest { node, labels, uses, for_s } = asked;
    let log: LogStatus = client.get(LOG).await?;
    let trust: KeyBytes = log.signing_key.parse().map_err(|_| Error::Answer("the key of the log is no key"))?;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|_| Error::NoRandomness)?;
    let key = KeyBytes::from(&SecretKey::from_seed(&seed).public());
    // Named by its key, so that the same request again is the same token.
    let id = format!("t-{}", &key.to_string()[..12]);
    let token: JoinTokenId = id.parse().map_err(|_| Error::Answer("the id of the token is no id"))?;
    let command = json!({
        "type": "create_join_token", "id": token, "key": key, "node": node, "labels": labels, "uses": uses, "for_s": for_s,
    });
    let key = Some(format!("join-{token}"));
    let answer =
        client.send_commands(&CommandRequest { reason: None, now: false, commands: vec![command], key }).await?;
    output::warn(&answer.warnings);
    let NatsPlace { url, prefix, ca } = nats.clone();
    Ok(JoinLine { v: JoinLine::NEWEST, token, seed, node, nats: url, prefix, ca, trust, log_id: log.log_id })
}

impl CreateTokenOptions {
    async fn run(self) -> Result<(), Error> {
        let client = ApiClient::from_options(&self.common.endpoint)?;
        let ca = self.nats_ca_file.as_ref().map(std::fs::read_to_string).transpose();
        let ca = ca.map_err(|error| Error::CaFile(self.nats_ca_file.clone().unwrap_or_default(), error))?;
        check_nats_url(&self.nats_url, self.common.endpoint.plain)?;
        let nats = NatsPlace { url: self.nats_url, prefix: self.nats_prefix.to_string(), ca };
        let labels: Labels = self.labels.into_iter().collect();
        let asked = JoinTokenRequest { node: self.node, labels, uses: self.uses, for_s: self.lasts.as_secs() };
        let line = create(&client, &nats, asked).await?;
        let text = line.to_text();
        match self.common.json {
            true => output::json(&json!({"id": line.token, "node": line.node, "token": text}).to_string()),
            false => {
                // The token alone is on standard output, so that a shell can put it into a file.
                let node = line.node.as_ref().map_or_else(|| " --node ID".to_owned(), |_| String::new());
                output::complain(&format!(
                    "token {0}, which is shown this once and kept nowhere. On the node, with this line on standard input: headwater-edge join \
                     --dir DIR{node}. To end it: headwater node token revoke {0}",
                    line.token
                ));
                output::text(&format!("{text}\n"))
            }
        }?;
        Ok(())
    }
}

impl ListJoinTokens {
    async fn run(self) -> Result<(), Error> {
        let tokens: Vec<JoinTokenView> = ApiClient::from_options(&self.common.endpoint)?.list(JOIN_TOKENS, &[]).await?;
        if self.common.json {
            output::json(&serde_json::to_string(&tokens).expect("BUG: texts and numbers can be written as JSON"))?;
            return Ok(());
        }
        let width = tokens.iter().map(|token| token.id.as_str().len()).fold(5, usize::max);
        let mut text = format!("{:width$}  {:8}  {:11}  {:27}  NODE\n", "TOKEN", "STATE", "USED", "ENDS");
        for token in &tokens {
            let used = format!("{} of {}", token.used, token.uses);
            let node = token.node.as_ref().map_or("any new one", NodeId::as_str);
            let (id, state, ends) = (token.id.as_str(), &token.state, token.expires.to_string());
            writeln!(text, "{id:width$}  {state:8}  {used:11}  {ends:27}  {node}")
                .expect("BUG: a String takes any text");
        }
        output::text(&text)?;
        Ok(())
    }
}

impl RevokeJoinToken {
    async fn run(self) -> Result<(), Error> {
        let command = json!({"type": "revoke_join_token", "id": self.id});
        self.common.send(command, None, &format!("Token {} lets nobody in any more.\n", self.id)).await
    }
}

#[cfg(test)]
mod tests {
    use program::exit::ExitClass;

    use super::*;

    fn checked(url: &str, plain: bool) -> Result<(), Error> {
        check_nats_url(url, PlainOption { plain })
    }

    #[test]
    fn a_token_names_only_a_nats_that_nodes_would_connect_to() {
        for url in [
            "tls://nats.example:4222",
            "nats://127.0.0.1:4222,nats://localhost",
            "tls://a:1,tls://b:2",
            "nats://[::1]:1",
        ] {
            assert!(checked(url, false).is_ok(), "{url}");
        }
        let refused = checked("nats://127.0.0.1:1,nats://10.0.0.1:4222", false).expect_err("plain, on another machine");
        for part in ["--nats-url", "10.0.0.1:4222", "tls://", "--plain"] {
            assert!(refused.to_string().contains(part), "{refused}");
        }
        assert_eq!(refused.exit_class(), ExitClass::Usage);
        assert!(checked("nats://10.0.0.1:4222", true).is_ok());
        for url in ["nats.example:4222", "http://h", "", "tls://a:1,nats://127.0.0.1:1", "tls://", "nats:/h"] {
            assert!(matches!(checked(url, true), Err(Error::NatsUrl(_))), "{url}");
        }
        assert!(matches!(checked("tls://ann@h:1", true), Err(Error::Credentials)));
    }
}
