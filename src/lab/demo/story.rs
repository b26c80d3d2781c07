//! The steps of the demo, and the claims about each step.
//!
//! Invariants: each claim is verified after its step: at the server, on the disks, and in the published position. A claim that
//! does not hold is printed and counted, and the demo continues; a wait that passes its deadline is such a claim.

use std::time::{Duration, Instant as Clock};

use api::event::EventView;
use api::log::LogStatus;
use api::page::ListPage;
use api::path::LOG;
use client::api_client::{ApiClient, CommandRequest};
use schema::instant::Instant;
use schema::position::Position;
use serde_json::Value;

use crate::dev::DevNode;

use super::definitions::Definitions;
use super::error::Error;
use super::fleet::{Edit, ExampleFleet, Files, REASON};
use super::node::{DemoNode, NodeSnapshot, difference};
use super::screen::{Screen, Style};
use super::table::{self, StepStart};

/// How many of the demo's nodes are runtimes.
pub(super) const RUNTIMES: u16 = 2;

/// How long a step may take.
pub(super) const WITHIN: Duration = Duration::from_secs(60);
/// How often the server is polled.
pub(super) const POLL_EVERY: Duration = Duration::from_millis(30);

/// More nodes than this are counted instead of named, so that the line stays short.
const NAMED_MAX: usize = 4;

/// A change that concerns one label.
const CHANGE: Edit = Edit {
    document: "loki-thresholds",
    find: "\"lower_level_mv\": 120",
    put: "\"lower_level_mv\": 135",
    reason: "less noise from the straws of loki",
};
/// A typing error that the check must reject.
const SLIP: Edit = Edit {
    document: "dream-high-voltage",
    find: "\"bias_v\": 1085",
    put: "\"bias_v\": 10850",
    reason: "a little more gain in the forward endcap",
};
/// The correction.
const REPAIR: Edit = Edit {
    document: "dream-high-voltage",
    find: "\"bias_v\": 10850",
    put: "\"bias_v\": 1090",
    reason: "1090 V was meant",
};

/// The state of the demo.
#[derive(Debug)]
pub(super) struct Story {
    screen: Screen,
    client: ApiClient,
    places: Vec<DevNode>,
    fleet: ExampleFleet,
    definitions: Definitions,
    /// Where the present step started.
    since: StepStart,
    /// The last position of the present step.
    reached: Position,
    /// The rows that were printed last, if standard output is no terminal.
    written: Vec<String>,
    untrue: usize,
}

/// The expected result of a change on the nodes that it concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Converges,
    Rejects,
}

impl Story {
    pub(super) fn new(
        screen: Screen,
        client: ApiClient,
        places: Vec<DevNode>,
        fleet: ExampleFleet,
        definitions: Definitions,
    ) -> Self {
        let (since, reached) = (StepStart { position: Position::ZERO, at: Instant::default() }, Position::ZERO);
        Self { screen, client, places, fleet, definitions, since, reached, written: Vec::new(), untrue: 0 }
    }

    /// Runs all steps; gives the number of claims that do not hold.
    pub(super) async fn run(&mut self) -> Result<usize, Error> {
        self.put_all().await?;
        self.headline("3", "One document changes, for one label: the nodes of loki");
        self.change(&CHANGE, 1, Outcome::Converges).await?;
        self.headline("4", "A slip of the finger: the check of the node it is for says no");
        self.change(&SLIP, 1, Outcome::Rejects).await?;
        self.headline("5", "Put right: the node takes what it can run");
        self.change(&REPAIR, 2, Outcome::Converges).await?;
        self.headline("6", "Rules, components and a plan in OSCAL are imported: they become jobs");
        self.import().await?;
        self.headline("7", "Two of the nodes are runtimes: they share the jobs and run them");
        self.share_jobs().await?;
        self.headline("8", "A node proposes a file for itself, and an administrator accepts it");
        self.propose().await?;
        self.headline("9", "A change goes to one node first, and to the others when that runs it well");
        self.roll_out().await?;
        self.headline("10", "A bad one is halted at the first node, and taken back");
        self.take_back().await?;
        Ok(self.untrue)
    }

    /// Puts all documents in one request.
    async fn put_all(&mut self) -> Result<(), Error> {
        let (count, bytes) = (self.fleet.documents.len(), self.fleet.bytes().div_ceil(1_000));
        self.headline("2", &format!("One request puts {count} documents, {bytes} kB, as manifests declare them"));
        self.send(REASON, self.fleet.commands()).await?;
        let (nodes, held) = self.watch(|nodes| nodes.iter().all(DemoNode::is_done)).await?;
        self.claim(held, "every node runs what it must");
        let fleet = self.fleet.clone();
        self.claim_files(&nodes, "each node's files are those of its layers, byte for byte", |node| {
            fleet.files_of(&node.id, &node.labels)
        });
        self.claim_published().await
    }

    /// Edits one document: the nodes that it concerns must apply or reject it, and the others must not change.
    async fn change(&mut self, edit: &Edit, version: u64, outcome: Outcome) -> Result<(), Error> {
        let before = self.fetch_nodes().await?;
        let (was, stands) = (self.fleet.clone(), before.iter().map(DemoNode::snapshot).collect::<Vec<NodeSnapshot>>());
        let command = self.fleet.edit(edit, version)?;
        self.say_edit(edit);
        self.send(edit.reason, vec![command]).await?;

        let fleet = self.fleet.clone();
        let concerns = |node: &DemoNode| fleet.concerns(edit.document, &node.id, &node.labels);
        let has_come_to = |node: &DemoNode| match outcome {
            _ if !concerns(node) => node.is_converged(),
            Outcome::Converges => node.is_done(),
            Outcome::Rejects => node.state == "failed" && node.failure().is_some(),
        };
        let reached = self.reached;
        let is_there = |node: &DemoNode| !concerns(node) || node.desired.position == reached;
        let (nodes, held) = self.watch(|nodes| nodes.iter().all(|node| has_come_to(node) && is_there(node))).await?;
        if outcome == Outcome::Rejects {
            self.say_failures(&nodes);
        }
        let (moved, still): (Vec<&DemoNode>, Vec<&DemoNode>) = before.iter().partition(|node| concerns(node));
        let (moved, still) = (names(&moved), names(&still));
        self.claim(
            held && !moved.is_empty(),
            &match outcome {
                Outcome::Converges => format!("position {reached} runs on {moved}"),
                Outcome::Rejects => format!("position {reached} is rejected by {moved}"),
            },
        );
        // Events are published after the records that follow from them, so now every record is in NATS.
        self.claim_published().await?;
        let after = self.fetch_nodes().await?;
        let unmoved = stands.iter().zip(&after).all(|(stand, node)| concerns(node) || *stand == node.snapshot());
        self.claim(unmoved, &format!("{still} did not move: position, digest, generation"));
        match outcome {
            Outcome::Converges => self.claim_files(&after, "each node's files are right, byte for byte", |node| {
                fleet.files_of(&node.id, &node.labels)
            }),
            Outcome::Rejects => {
                self.claim_files(&after, "its files are still the last good ones, byte for byte", |node| {
                    was.files_of(&node.id, &node.labels)
                })
            }
        }
        Ok(())
    }

    /// Sends a request, and starts the time of the step.
    pub(super) async fn send(&mut self, reason: &str, commands: Vec<Value>) -> Result<(), Error> {
        let request = CommandRequest { reason: Some(reason.to_owned()), now: false, commands, key: None };
        let answer = self.client.send_commands(&request).await?;
        let (first, last) = match (answer.events.first(), answer.events.last()) {
            (Some(first), Some(last)) => (first.position, last.position),
            _ => return Err(Error::NothingChanged),
        };
        let before = first.previous();
        let events: ListPage<EventView> = self.client.get(&format!("/v1/events?after={before}&limit=1")).await?;
        let at = events.items.first().map(|event| event.at).unwrap_or_default();
        (self.since, self.reached) = (StepStart { position: before, at }, last);
        let which = if first == last {
            format!("event {last}")
        } else {
            format!("events {first} to {last}, in one transaction")
        };
        self.screen.say(&format!("   \"{reason}\": {which}"));
        self.written.clear();
        Ok(())
    }

    pub(super) async fn fetch_nodes(&self) -> Result<Vec<DemoNode>, Error> {
        let mut nodes = Vec::new();
        for place in &self.places {
            nodes.push(DemoNode::fetch(&self.client, &place.id, &place.dir).await?);
        }
        Ok(nodes)
    }

    /// Shows the table until `is_true` or the deadline; gives also whether it became true.
    pub(super) async fn watch(
        &mut self,
        is_true: impl Fn(&[DemoNode]) -> bool,
    ) -> Result<(Vec<DemoNode>, bool), Error> {
        self.screen.say("");
        let deadline = Clock::now() + WITHIN;
        loop {
            let nodes = self.fetch_nodes().await?;
            self.show(&nodes);
            let holds = is_true(&nodes);
            if holds || Clock::now() >= deadline {
                self.screen.say("");
                return Ok((nodes, holds));
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    fn show(&mut self, nodes: &[DemoNode]) {
        let head = table::head(&self.screen);
        let rows: Vec<String> = nodes.iter().map(|node| table::row(&self.screen, node, self.since)).collect();
        if self.screen.is_terminal {
            self.screen.show([vec![head], rows].concat());
            return;
        }
        if self.written.is_empty() {
            self.screen.say(&head);
        }
        for (index, row) in rows.iter().enumerate() {
            if self.written.get(index) != Some(row) {
                self.screen.say(row);
            }
        }
        self.written = rows;
    }

    pub(super) async fn claim_published(&mut self) -> Result<(), Error> {
        let deadline = Clock::now() + WITHIN;
        loop {
            let log: LogStatus = self.client.get(LOG).await?;
            let holds = log.published == Some(log.position) && log.position >= self.reached;
            if holds || Clock::now() >= deadline {
                self.claim(holds, &format!("NATS holds every event of the log, 1 to {}", log.position));
                return Ok(());
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    fn claim_files(&mut self, nodes: &[DemoNode], text: &str, wanted: impl Fn(&DemoNode) -> Files) {
        let differs = |node: &DemoNode| match node.files() {
            Ok(found) => difference(&wanted(node), &found).map(|what| format!("{}: {what}", node.id)),
            Err(error) => Some(format!("{}: {error}", node.id)),
        };
        let differing: Vec<String> = nodes.iter().filter_map(differs).collect();
        match differing.is_empty() {
            true => self.claim(true, text),
            false => self.claim(false, &format!("{text} ({})", differing.join("; "))),
        }
    }

    pub(super) fn claim(&mut self, holds: bool, text: &str) {
        let (style, mark) = if holds { (Style::Green, "ok ") } else { (Style::Red, "NOT") };
        self.untrue += usize::from(!holds);
        let mark = self.screen.paint(style, mark);
        let text = self.screen.paint(Style::Plain, text);
        self.screen.say(&format!("   {mark}  {text}"));
    }

    fn headline(&mut self, number: &str, text: &str) {
        let headline = self.screen.paint(Style::Bold, &format!("{number}  {text}"));
        self.screen.say(&format!("\n{headline}"));
    }

    fn say_edit(&mut self, edit: &Edit) {
        let Edit { document, find, put, .. } = edit;
        let (gone, come) = (format!("- {find}"), format!("+ {put}"));
        let (gone, come) = (self.screen.paint(Style::Red, &gone), self.screen.paint(Style::Green, &come));
        self.screen.say(&format!("   {document}:  {gone}  {come}"));
    }

    fn say_failures(&mut self, nodes: &[DemoNode]) {
        for node in nodes.iter().filter(|node| !node.is_converged()) {
            let Some((code, detail)) = node.failure() else { continue };
            let detail: Vec<&str> = detail.lines().collect();
            let text = format!("   {}: {code}: {}\n", node.id, detail.join("\n           "));
            let text = self.screen.paint(Style::Yellow, &text);
            self.screen.say(&text);
        }
    }

    pub(super) fn client(&self) -> &ApiClient {
        &self.client
    }

    pub(super) fn definitions(&self) -> &Definitions {
        &self.definitions
    }

    pub(super) fn places(&self) -> &[DevNode] {
        &self.places
    }

    pub(super) fn runtimes(&self) -> &[DevNode] {
        &self.places[..RUNTIMES.into()]
    }

    /// Prints a line in a style.
    pub(super) fn say(&mut self, style: Style, text: &str) {
        let text = self.screen.paint(style, text);
        self.screen.say(&text);
    }

    pub(super) fn into_screen(self) -> Screen {
        self.screen
    }
}

fn names(nodes: &[&DemoNode]) -> String {
    let names: Vec<&str> = nodes.iter().map(|node| node.id.as_str()).collect();
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) if names.len() <= NAMED_MAX => format!("{} and {last}", others.join(", ")),
        Some(_) => format!("{} nodes", names.len()),
        None => "no node".to_owned(),
    }
}
