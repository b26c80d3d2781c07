//! The last part of the demo: a node proposes a file for itself, and an administrator accepts it.
//!
//! The node proposes with `headwater edge propose`, as its operator would.

use std::path::Path;
use std::time::Instant as Clock;

use api::proposal::ProposalSummary;
use serde_json::json;
use tokio::process::Command;

use super::error::Error;
use super::node::{DemoNode, NodeSnapshot};
use super::screen::Style;
use super::story::{POLL_EVERY, Story, WITHIN};

/// Where the file is to be.
const PATH: &str = "detector/calibration.json";
/// What is proposed.
const CONTENT: &str = "{\n  \"gain\": 1.07\n}\n";

impl Story {
    /// Lets the first node propose a file that no document has, and accepts it: the node gets it, and no other one.
    pub(super) async fn propose(&mut self) -> Result<(), Error> {
        let place = self.places()[0].clone();
        let before = self.fetch_nodes().await?;
        let stands: Vec<NodeSnapshot> = before.iter().map(DemoNode::snapshot).collect();
        let replace = place.dir.with_extension("proposed");
        std::fs::write(&replace, CONTENT).map_err(Error::Propose)?;
        propose(&place.dir, &replace).await?;
        self.say(Style::Plain, &format!("   {}: headwater edge propose {PATH}", place.id));
        let proposal = self.open_proposal(&place.id).await?;
        let still = self.fetch_nodes().await?.iter().map(DemoNode::snapshot).eq(stands.iter().cloned());
        self.claim(proposal.is_some() && still, "it waits for a decision; no node runs it yet");
        let Some(proposal) = proposal else { return Ok(()) };

        let accept = json!({"type": "accept_proposal", "id": proposal.id});
        self.send("measured twice", vec![accept]).await?;
        let runs = |node: &DemoNode| {
            node.files().is_ok_and(|files| files.get(PATH).is_some_and(|file| file == CONTENT.as_bytes()))
        };
        let is_there = |nodes: &[DemoNode]| {
            nodes.iter().all(|node| {
                if node.id.as_str() == place.id { runs(node) && node.is_done() } else { node.is_converged() }
            })
        };
        let (nodes, held) = self.watch(is_there).await?;
        self.claim(held, &format!("accepted: {} runs the file that it proposed", place.id));
        self.claim_published().await?;
        let unmoved = stands.iter().zip(&nodes).skip(1).all(|(stand, node)| *stand == node.snapshot());
        self.claim(unmoved, "the others did not move");
        Ok(())
    }

    /// Waits until the server has what a node proposes.
    async fn open_proposal(&self, node: &str) -> Result<Option<ProposalSummary>, Error> {
        let deadline = Clock::now() + WITHIN;
        loop {
            let open: Vec<ProposalSummary> = self.client().list("/v1/proposals", &[("state", "open")]).await?;
            let found = open.into_iter().find(|proposal| proposal.node.as_str() == node);
            if found.is_some() || Clock::now() >= deadline {
                return Ok(found);
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    }
}

async fn propose(dir: &Path, replace: &Path) -> Result<(), Error> {
    let program = std::env::current_exe().map_err(Error::Propose)?;
    let mut command = Command::new(program);
    command
        .args(["edge", "propose", PATH, "--reason", "measured at the beam", "--dir"])
        .arg(dir)
        .arg("--replace")
        .arg(replace);
    let output = command.kill_on_drop(true).output().await.map_err(Error::Propose)?;
    match output.status.success() {
        true => Ok(()),
        false => Err(Error::Proposed(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}
