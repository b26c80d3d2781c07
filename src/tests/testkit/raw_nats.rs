//! A client of NATS that says what it likes, and is told what the server refuses.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bus::nkey::KeyKind;
use schema::node_keys::KeyBytes;
use schema::seal::SecretKey;
use serde_json::{Value, json};

/// How long the server may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A connection on which nothing is checked before it is sent.
pub struct RawClient {
    stream: BufReader<TcpStream>,
    /// Messages that came while something else was awaited.
    pub heard: Vec<(String, Vec<u8>)>,
}

impl RawClient {
    /// Connects with a key. `sign` makes the signature over the nonce: it need not be a right one.
    pub fn connect(port: u16, key: &KeyBytes, sign: impl Fn(&[u8]) -> [u8; 64]) -> Result<Self, String> {
        let key = KeyKind::User.public(key);
        Self::greet(port, |nonce| json!({"nkey": key, "sig": URL_SAFE_NO_PAD.encode(sign(nonce.as_bytes()))}))
    }

    /// Connects as whoever has this key.
    pub fn as_user(port: u16, secret: &SecretKey) -> Result<Self, String> {
        Self::connect(port, &KeyBytes::from(&secret.public()), |nonce| secret.sign(nonce))
    }

    /// Connects with these members of the CONNECT message.
    pub fn greet(port: u16, credentials: impl Fn(&str) -> Value) -> Result<Self, String> {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(ANSWER_WITHIN)).unwrap();
        let mut client = Self { stream: BufReader::new(stream), heard: Vec::new() };
        let info = client.line();
        let info: Value = serde_json::from_str(info.strip_prefix("INFO ").unwrap()).unwrap();
        let mut connect = credentials(info["nonce"].as_str().unwrap_or_default());
        for (name, value) in [("verbose", json!(false)), ("pedantic", json!(false)), ("headers", json!(true))] {
            connect[name] = value;
        }
        (connect["lang"], connect["version"], connect["name"]) = ("raw".into(), "1".into(), "raw".into());
        client.say(&format!("CONNECT {connect}\r\n"));
        match client.settle().into_iter().next() {
            Some(refused) => Err(refused),
            None => Ok(client),
        }
    }

    /// Publishes, and gives what the server says against it.
    pub fn publish(&mut self, subject: &str, reply: Option<&str>, headers: &str, payload: &[u8]) -> Vec<String> {
        let reply = reply.map(|reply| format!("{reply} ")).unwrap_or_default();
        let head = if headers.is_empty() { String::new() } else { format!("NATS/1.0\r\n{headers}\r\n") };
        let (verb, lengths) = match head.len() {
            0 => ("PUB", payload.len().to_string()),
            head => ("HPUB", format!("{head} {}", head + payload.len())),
        };
        let mut message = format!("{verb} {subject} {reply}{lengths}\r\n{head}").into_bytes();
        message.extend_from_slice(payload);
        message.extend_from_slice(b"\r\n");
        self.stream.get_mut().write_all(&message).unwrap();
        self.settle()
    }

    /// Subscribes, and gives what the server says against it.
    pub fn subscribe(&mut self, subject: &str, number: usize) -> Vec<String> {
        self.say(&format!("SUB {subject} {number}\r\n"));
        self.settle()
    }

    /// Waits until the server has taken all that was said; gives its errors, and keeps the messages.
    pub fn settle(&mut self) -> Vec<String> {
        self.say("PING\r\n");
        let mut errors = Vec::new();
        loop {
            let line = self.line();
            match line.split_whitespace().next().unwrap_or_default() {
                "PONG" => return errors,
                "PING" => self.say("PONG\r\n"),
                "-ERR" => errors.push(line),
                "MSG" | "HMSG" => self.take(&line),
                "" => {
                    errors.push("closed".to_owned());
                    return errors;
                }
                _ => {}
            }
        }
    }

    /// Takes a message whose head was read.
    fn take(&mut self, head: &str) {
        let words: Vec<&str> = head.split_whitespace().collect();
        let bytes: usize = words.last().unwrap().parse().unwrap();
        let mut payload = vec![0; bytes + 2];
        std::io::Read::read_exact(&mut self.stream, &mut payload).unwrap();
        payload.truncate(bytes);
        self.heard.push((words[1].to_owned(), payload));
    }

    fn say(&mut self, text: &str) {
        // A server that has closed says so when it is read.
        let _ = self.stream.get_mut().write_all(text.as_bytes());
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        let _ = self.stream.read_line(&mut line);
        line.trim_end().to_owned()
    }
}
