//! A hundred runtimes claiming ten jobs each over NATS, beside the appender taking as many events of as many requests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::connect::Link;
use futures::future::try_join_all;
use lab::nats::Access;
use schema::address::Prefix;
use schema::request::Request;
use schema::rpc::{ClaimRequest, ReleaseRequest, RpcReply, RpcVerb};
use schema::wire::WireRecord;
use serde_json::{Value, json};
use server::adapters::LogBackend;
use server::fleet::rpc_service::RpcService;
use tokio_util::sync::CancellationToken;

use crate::bench_log::{BenchLog, node, relabel};
use crate::{Figure, Result, fsync};

const RUNTIMES: usize = 100;
const EACH: usize = 10;
const ROUNDS: usize = 10;

pub(crate) async fn figures() -> Result<Vec<Figure>> {
    let bench = BenchLog::start().await?;
    let (_nats, link) = bench.nats(Access::Password).await?;
    let stop = CancellationToken::new();
    let demand = bench.relay(&link, &stop)?.signature_wanted;
    let source = Arc::new(LogBackend::new(bench.log.clone(), demand));
    let asking = RpcService { client: link.client().clone(), prefix: Prefix::default(), source, order: Arc::default() };
    tokio::spawn(async move { asking.answer().await });
    bench.enrol(RUNTIMES, |_| None).await?;
    define_jobs(&bench).await?;
    // Whoever asks before somebody answers asks again.
    while ask(&link, 0, RpcVerb::Renew, &renew()).await.is_err() {}

    let (mut claimed, mut appended) = (Duration::ZERO, Duration::ZERO);
    for round in 0..ROUNDS {
        let began = Instant::now();
        try_join_all((0..RUNTIMES).map(|runtime| claim(&link, runtime, round))).await?;
        claimed += began.elapsed();
        try_join_all((0..RUNTIMES).map(|runtime| release(&link, runtime, round))).await?;
        let began = Instant::now();
        let requests = (0..RUNTIMES).map(|caller| {
            let nodes = (0..EACH).map(|each| (caller + each * EACH) % RUNTIMES);
            bench.command(nodes.map(|node| relabel(node, round * RUNTIMES * EACH + caller)).collect())
        });
        try_join_all(requests).await?;
        appended += began.elapsed();
    }
    stop.cancel();
    let rate = |took: Duration| (ROUNDS * RUNTIMES * EACH) as f64 / took.as_secs_f64();
    let disk = fsync::median(bench.folder.path())?;
    Ok(vec![Figure::new(
        "claims/s over NATS, events/s of as many requests as are",
        format!("{:.0} / {:.0}", rate(claimed), rate(appended)),
        format!("ratio {:.2}, fsync {:.2} ms", rate(claimed) / rate(appended), disk.as_secs_f64() * 1e3),
    )])
}

async fn define_jobs(bench: &BenchLog) -> Result<()> {
    let mut commands = vec![
        json!({"type": "define_control", "id": "c", "title": "A control"}),
        json!({"type": "define_assessment", "id": "as", "title": "A plan", "control": "c", "component_selector": {},
            "schedule": "* * * * *"}),
    ];
    let attestation = |number: usize| -> Value {
        json!({"type": "define_attestation", "id": format!("at-{number}"), "assessment": "as", "title": "A check",
            "provider": {"name": "probe"}})
    };
    commands.extend((0..RUNTIMES * EACH).map(attestation));
    for commands in commands.chunks(500) {
        let request = Request::read(json!({ "commands": commands }).to_string().as_bytes())?;
        bench.command(request.commands.into_iter().map(|ask| ask.command).collect()).await?;
    }
    Ok(())
}

async fn claim(link: &Link, runtime: usize, round: usize) -> Result<()> {
    let limit = u32::try_from(EACH)?;
    let claim = ClaimRequest {
        v: ClaimRequest::NEWEST,
        id: format!("claim-{round}"),
        runtime: None,
        limit,
        lease_s: None,
        sent: None,
    };
    let reply = ask(link, runtime, RpcVerb::Claim, &claim).await?;
    let given = reply.result.and_then(|done| done.jobs).map_or(0, |jobs| jobs.len());
    if given == EACH { Ok(()) } else { Err(format!("{given} jobs were given: {:?}", reply.error).into()) }
}

async fn release(link: &Link, runtime: usize, round: usize) -> Result<()> {
    let release = ReleaseRequest {
        v: ReleaseRequest::NEWEST,
        id: format!("release-{round}"),
        runtime: None,
        jobs: None,
        sent: None,
    };
    ask(link, runtime, RpcVerb::Release, &release).await.map(|_| ())
}

fn renew() -> schema::rpc::RenewRequest {
    schema::rpc::RenewRequest { v: schema::rpc::RenewRequest::NEWEST, id: "first".into(), runtime: None, sent: None }
}

async fn ask(link: &Link, runtime: usize, verb: RpcVerb, request: &impl WireRecord) -> Result<RpcReply> {
    let subject = Prefix::default().rpc_subject(&node(runtime), verb);
    let message = link.client().request(subject, request.write().into()).await?;
    Ok(RpcReply::read(&message.payload)?)
}
