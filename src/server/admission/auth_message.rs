//! The question of nats-server who a client is, and the answer: JSON Web Tokens, signed with Ed25519 keys of NATS.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use bus::nkey::KeyKind;
use schema::node_keys::KeyBytes;
use schema::permissions::{NODES_ACCOUNT, Permissions};
use schema::report::REPORT_BYTES_MAX;
use schema::seal::SecretKey;
use serde::Deserialize;
use serde_json::{Value, json};

use super::judgement::Credentials;

/// The header of a token of NATS.
const HEADER: &str = r#"{"typ":"JWT","alg":"ed25519-nkey"}"#;
/// Subscriptions that one connection may have: a node has its inbox, its record, and one for each answer it waits for.
const SUBSCRIPTIONS_MAX: i64 = 64;

/// A question that can be answered.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Claims")]
pub struct AuthQuestion {
    /// The server that asks, to which the answer is addressed.
    server: String,
    /// The key that nats-server made for this connection, which the answer is about.
    connection: String,
    nonce: String,
    offered: ConnectOptions,
    /// The address of the client, for log lines.
    pub host: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
struct ConnectOptions {
    #[serde(default)]
    nkey: String,
    #[serde(default)]
    sig: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    pass: String,
}

#[derive(Deserialize)]
struct Claims {
    nats: Asked,
}

#[derive(Deserialize)]
struct Asked {
    server_id: ServerId,
    user_nkey: String,
    client_info: ClientInfo,
    #[serde(default)]
    connect_opts: ConnectOptions,
}

#[derive(Deserialize)]
struct ServerId {
    id: String,
}

#[derive(Deserialize)]
struct ClientInfo {
    #[serde(default)]
    nonce: String,
    #[serde(default)]
    host: String,
}

impl From<Claims> for AuthQuestion {
    fn from(Claims { nats: Asked { server_id, user_nkey, client_info, connect_opts } }: Claims) -> Self {
        let ClientInfo { nonce, host } = client_info;
        Self { server: server_id.id, connection: user_nkey, nonce, offered: connect_opts, host }
    }
}

/// The message is no question of nats-server.
#[derive(Debug, thiserror::Error)]
#[error("this is no question of nats-server: {0}")]
pub struct NoQuestion(String);

impl AuthQuestion {
    /// Reads a question. Nobody but nats-server can publish it: the account has one user, who answers.
    ///
    /// # Errors
    /// If it is something else.
    pub fn read(message: &[u8]) -> Result<Self, NoQuestion> {
        let text = std::str::from_utf8(message).map_err(|error| NoQuestion(error.to_string()))?;
        let claims = text.split('.').nth(1).ok_or_else(|| NoQuestion("it has no claims".into()))?;
        let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|error| NoQuestion(error.to_string()))?;
        serde_json::from_slice(&claims).map_err(|error| NoQuestion(error.to_string()))
    }

    /// What the client proves. nats-server does not check the signature over its nonce: here is where it is checked.
    #[must_use]
    pub fn credentials(&self) -> Credentials<'_> {
        let ConnectOptions { nkey, sig, user, pass } = &self.offered;
        if !nkey.is_empty() {
            let key = KeyKind::User.read_public(nkey).filter(|key| self.has_signed(key, sig));
            return key.map_or(Credentials::None, Credentials::Key);
        }
        match user.is_empty() {
            true => Credentials::None,
            false => Credentials::Password(user, pass),
        }
    }

    /// The text of the key that the client names, whether or not it has proved to have it.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        Some(self.offered.nkey.as_str()).filter(|text| KeyKind::User.read_public(text).is_some())
    }

    fn has_signed(&self, key: &KeyBytes, signature: &str) -> bool {
        let signature = signature.trim_end_matches('=');
        let decoded = URL_SAFE_NO_PAD.decode(signature).or_else(|_| STANDARD_NO_PAD.decode(signature)).ok();
        let signature: Option<[u8; 64]> = decoded.and_then(|bytes| bytes.try_into().ok());
        let is_signed = |(key, signature): (schema::seal::PublicKey, [u8; 64])| {
            !self.nonce.is_empty() && key.has_signed(self.nonce.as_bytes(), &signature)
        };
        key.key().zip(signature).is_some_and(is_signed)
    }

    /// The answer that lets the client in under a name.
    #[must_use]
    pub fn admit(&self, issuer: &SecretKey, name: &str, permissions: &Permissions) -> String {
        let Permissions { publish, subscribe } = permissions;
        let user = json!({
            "iss": issuer_text(issuer), "sub": self.connection, "aud": NODES_ACCOUNT, "name": name,
            "nats": {
                "type": "user", "version": 2, "pub": {"allow": publish}, "sub": {"allow": subscribe},
                "subs": SUBSCRIPTIONS_MAX, "data": -1, "payload": REPORT_BYTES_MAX,
            },
        });
        self.answer(issuer, json!({"jwt": signed(issuer, &user)}))
    }

    /// The answer that refuses the client. Only nats-server reads the reason.
    #[must_use]
    pub fn refuse(&self, issuer: &SecretKey, reason: &str) -> String {
        self.answer(issuer, json!({"error": reason}))
    }

    fn answer(&self, issuer: &SecretKey, mut said: Value) -> String {
        said["type"] = "authorization_response".into();
        said["version"] = 2.into();
        let claims = json!({"iss": issuer_text(issuer), "sub": self.connection, "aud": self.server, "nats": said});
        signed(issuer, &claims)
    }
}

fn issuer_text(issuer: &SecretKey) -> String {
    KeyKind::Account.public(&KeyBytes::from(&issuer.public()))
}

fn signed(issuer: &SecretKey, claims: &Value) -> String {
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = URL_SAFE_NO_PAD.encode(issuer.sign(text.as_bytes()));
    format!("{text}.{signature}")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

    use schema::digest::Digest;

    use super::*;

    fn question(offered: &Value) -> AuthQuestion {
        let claims = json!({"nats": {
            "server_id": {"id": "NSERVER", "name": "n"}, "user_nkey": "UCONNECTION", "connect_opts": offered,
            "client_info": {"host": "10.0.0.1", "nonce": "nonce-1", "kind": "Client"}, "type": "authorization_request",
        }});
        let text = format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims.to_string()));
        AuthQuestion::read(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_key_counts_only_with_its_signature_over_the_nonce() {
        let secret = SecretKey::from_seed(&[7; 32]);
        let key = KeyBytes::from(&secret.public());
        let offered = |nonce: &[u8]| {
            let sig = URL_SAFE_NO_PAD.encode(secret.sign(nonce));
            json!({"nkey": KeyKind::User.public(&key), "sig": sig})
        };
        assert_eq!(question(&offered(b"nonce-1")).credentials(), Credentials::Key(key));
        assert_eq!(question(&offered(b"nonce-2")).credentials(), Credentials::None);
        let nobody = [json!({}), json!({"nkey": "U", "sig": ""}), json!({"sig": "x"})];
        assert!(nobody.iter().all(|offered| question(offered).credentials() == Credentials::None));
        // A key that proves nothing does not fall back to the password beside it.
        let both = json!({"nkey": KeyKind::User.public(&key), "sig": "", "user": "headwater", "pass": "secret"});
        assert_eq!(question(&both).credentials(), Credentials::None);
        let password = json!({"user": "headwater", "pass": "secret"});
        assert_eq!(question(&password).credentials(), Credentials::Password("headwater", "secret"));
    }

    #[test]
    fn the_same_question_has_the_same_answer_byte_for_byte() {
        let issuer = SecretKey::from_seed(&[9; 32]);
        let permissions = Permissions { publish: vec!["a.b".into()], subscribe: vec!["c".into()] };
        let answer = question(&json!({"nkey": "UKEY"})).admit(&issuer, "n-1 UKEY", &permissions);
        let claims = |token: &str| -> Value {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
        };
        let response = claims(&answer);
        assert_eq!((&response["sub"], &response["aud"]), (&json!("UCONNECTION"), &json!("NSERVER")));
        let user = claims(response["nats"]["jwt"].as_str().unwrap());
        assert_eq!((&user["aud"], &user["name"]), (&json!("NODES"), &json!("n-1 UKEY")));
        assert_eq!(user["nats"]["pub"]["allow"], json!(["a.b"]));
        // Another program that answers the same question must say the same.
        assert_eq!(
            Digest::of(answer.as_bytes()).to_string(),
            "26ee6c368ad66e317e38a1f8a13b70b0a6cafcb81b3f1f3e8ca5970b52332ebe"
        );
    }

    #[test]
    fn what_is_no_question_is_refused() {
        for message in [&b""[..], b"a", b"a.b.c", b"a.e30.c", &[0xff, 0xfe]] {
            assert!(AuthQuestion::read(message).is_err(), "{message:?}");
        }
    }
}
