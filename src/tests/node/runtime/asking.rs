//! What a runtime takes for the answer to what it asks.

use agent::boot_number::BootNumber;
use agent::jobs::claim_service::ClaimService as _;
use agent::jobs::rpc_client::RpcClient;
use async_nats::jetstream::stream::Config;
use bus::connect::connect;
use futures::StreamExt as _;
use schema::address::Prefix;
use schema::rpc::{ListClaims, RpcOutcome, RpcReply};
use schema::seal::SecretKey;
use schema::wire::WireRecord as _;
use uuid::Uuid;

use testkit::nats::Server;

fn reply(id: Option<String>, position: u64) -> Vec<u8> {
    let entity = "runtime/n-1".parse().unwrap();
    let done = RpcOutcome { entity, version: 1.into(), changed: false, jobs: Some(Vec::new()), digest: None };
    let (log_id, position) = (Uuid::from_u128(9).into(), position.into());
    RpcReply { v: RpcReply::NEWEST, log_id, position, result: Some(done), error: None, id }.write()
}

#[tokio::test]
async fn only_the_reply_to_its_own_request_is_an_answer() {
    let nats = Server::start();
    let link = connect(&nats.url(), "test").await.unwrap();
    link.up().await;
    // Another stream takes in what nodes ask, so NATS acknowledges each request to whoever asked.
    let subjects = vec!["cfg.rpc.>".to_owned()];
    let other = Config { name: "other".to_owned(), subjects, ..Config::default() };
    let mut other = link.jetstream().create_stream(other).await.unwrap();
    let client = link.client().clone();
    let mut requests = client.subscribe("cfg.rpc.n-1.*").await.unwrap();
    client.flush().await.unwrap();
    tokio::spawn(async move {
        for asked in 1.. {
            let Some(message) = requests.next().await else { break };
            while other.info().await.unwrap().state.messages < asked {
                tokio::task::yield_now().await;
            }
            let inbox = message.reply.unwrap();
            let id = ListClaims::read(&message.payload).unwrap().id;
            // The second time it is an older server, which repeats no id.
            let replies = [(Some("another's".to_owned()), 8), ((asked == 1).then_some(id), 9)];
            for (id, position) in replies {
                client.publish(inbox.clone(), reply(id, position).into()).await.unwrap();
            }
        }
    });
    let boot_number = BootNumber::counted(1);
    boot_number.settle(0);
    let say = SecretKey::from_seed(&[7; 32]);
    let asking = RpcClient { link, prefix: Prefix::default(), node: "n-1".parse().unwrap(), say, boot_number };
    for server in ["one that repeats the id", "an older one"] {
        let told = asking.list().await;
        assert_eq!(told.map(|told| told.position.get()), Ok(9), "{server}");
    }
}
