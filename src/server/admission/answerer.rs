//! Answers nats-server who may come in. Every server that has the keys does, and NATS picks one of them for each question.

use std::time::Duration;

use async_nats::Message;
use bus::connect::Link;
use futures::StreamExt as _;
use program::clock::system_time;
use projections::configuration::Configuration;
use schema::address::Prefix;
use schema::seal::SecretKey;
use store::log::Log;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::auth_message::AuthQuestion;
use super::judgement::{Credentials, OpenPassword, Refused, admit};

/// Where nats-server asks.
const QUESTIONS: &str = "$SYS.REQ.USER.AUTH";
/// Servers that answer share this group, so that each question is answered once.
const GROUP: &str = "headwater";
/// Questions that are worked on at once: a fleet comes back together.
const ANSWERS_AT_ONCE: usize = 64;
/// How long the head of the log is waited for: nats-server gives up after a few seconds.
const HEAD_WITHIN: Duration = Duration::from_millis(500);
/// After a read that failed the head is not read for so long: the state that is known has to do.
const HEAD_REST: Duration = Duration::from_secs(2);
/// The pause before a subscription that ended is made again.
const REST: Duration = Duration::from_secs(1);

/// Answers the questions of nats-server.
#[derive(Clone, Debug)]
pub struct Answerer {
    /// A connection in the account of the answerers.
    pub link: Link,
    /// Signs the answers.
    pub issuer: SecretKey,
    /// What the names of nodes begin with in NATS.
    pub prefix: Prefix,
    /// What nodes without keys share.
    pub open: Option<OpenPassword>,
}

impl Answerer {
    /// Answers for ever.
    pub async fn run(self, log: Log) {
        let head = SharedHead::default();
        loop {
            self.link.up().await;
            match self.link.client().queue_subscribe(QUESTIONS, GROUP.to_owned()).await {
                Ok(questions) => {
                    let answers =
                        questions.for_each_concurrent(ANSWERS_AT_ONCE, |question| self.answer(&log, &head, question));
                    answers.await;
                }
                Err(error) => tracing::warn!(%error, "can't answer nats-server who may come in; trying again"),
            }
            sleep(REST).await;
        }
    }

    async fn answer(&self, log: &Log, head: &SharedHead, message: Message) {
        let Some(reply) = message.reply else { return };
        let question = match AuthQuestion::read(&message.payload) {
            Ok(question) => question,
            Err(error) => return tracing::warn!(%error, "question about a connection ignored"),
        };
        let credentials = question.credentials();
        if credentials.key().is_some() {
            head.reach(log).await;
        }
        let answer = match admit(&log.view(), self.open.as_ref(), &credentials, system_time()) {
            Ok(admitted) => {
                metrics::connection_judged("admitted");
                tracing::debug!(who = admitted.name(), host = question.host, "let into NATS");
                let name = admitted.connection_name(credentials.key());
                question.admit(&self.issuer, &name, &admitted.permissions(&self.prefix))
            }
            Err(refused) => {
                metrics::connection_judged(refused.code());
                log_refusal(&log.view(), &question, &credentials, refused);
                question.refuse(&self.issuer, &refused.to_string())
            }
        };
        if let Err(error) = self.link.client().publish(reply, answer.into()).await {
            tracing::warn!(%error, "the answer about a connection could not be sent");
        }
    }
}

/// Says who is refused, as far as it is known: the key that is named, and, if it was proved, whose it is or was.
fn log_refusal(state: &Configuration, question: &AuthQuestion, credentials: &Credentials<'_>, refused: Refused) {
    let identities = state.identities();
    let proved = credentials.key();
    let node = proved.and_then(|key| identities.node_of(key).or_else(|| identities.barred_node_of(key)));
    let token = proved.and_then(|key| identities.token_of(key)).map(|(id, _)| id);
    tracing::info!(
        code = refused.code(),
        why = %refused,
        key = question.key(),
        node = node.map(tracing::field::display),
        token = token.map(tracing::field::display),
        host = question.host,
        "not let into NATS"
    );
}

/// Reads of the head of the log, of which one serves all questions that wait: a fleet that comes back asks thousands of times.
#[derive(Default)]
struct SharedHead(Mutex<HeadReads>);

#[derive(Default)]
struct HeadReads {
    /// When the last read that ended well began.
    begun: Option<Instant>,
    /// No read before this time.
    rests_until: Option<Instant>,
}

impl SharedHead {
    /// Waits until the state is at least that of the head at this moment: another server may have appended what decides. Without
    /// PostgreSQL it does not wait.
    async fn reach(&self, log: &Log) {
        let asked = Instant::now();
        let mut reads = self.0.lock().await;
        let is_served = reads.begun.is_some_and(|begun| begun >= asked);
        let now = Instant::now();
        if is_served || reads.rests_until.is_some_and(|until| until > now) {
            return;
        }
        let reached = async {
            match log.reader().head().await {
                Ok(head) => {
                    log.reached(head.position).await;
                    true
                }
                Err(_) => false,
            }
        };
        match timeout(HEAD_WITHIN, reached).await {
            Ok(true) => *reads = HeadReads { begun: Some(now), rests_until: None },
            _ => reads.rests_until = Some(Instant::now() + HEAD_REST),
        }
    }
}
