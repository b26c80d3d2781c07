//! The compliance part of the demo: definitions in OSCAL become jobs, and two of the nodes share them.
//!
//! Each claim is verified at the server and on the nodes' disks.

use std::collections::BTreeSet;
use std::time::Instant as Clock;

use api::event::EventView;
use api::job::{ClaimView, JobSummary};
use api::page::ListPage;
use serde::de::IgnoredAny;

use crate::dev::DevNode;

use super::error::Error;
use super::screen::Style;
use super::story::{POLL_EVERY, Story, WITHIN};

/// How many jobs each runtime may claim: half of the examples' jobs.
pub(super) const JOBS_EACH: u32 = 2;
/// The job command, as an operator could write it, with POSIX tools only: it compares the value of each component with the limit
/// of the provider.
pub(super) const JOB_COMMAND: &str = r#"of() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" {}; }
set=$(grep -o "\"parameter:$(of parameter)\":\"[0-9]*\"" {} | cut -d '"' -f 4 | sort -n | tr '\n' ' ')
[ "$set" ] || { echo "no component says its $(of parameter)"; exit 1; }
for value in $set; do [ "$value" -le "$(of most)" ] || { echo "$value is above $(of most)"; exit 1; }; done
echo "$(of parameter) $set- at most $(of most)""#;

impl Story {
    /// Imports the definitions twice: the second import changes nothing.
    pub(super) async fn import(&mut self) -> Result<(), Error> {
        let first = self.definitions().import().await?;
        let created: Vec<String> =
            first.counts.iter().map(|(kind, counts)| format!("{} {kind}", counts.created)).collect();
        self.say(Style::Plain, &format!("   {} events: {}", first.events, created.join(", ")));
        let left_out = format!("   {} parts of the files have no place here: each is named", first.skipped.len());
        self.say(Style::Dim, &left_out);
        let attestations: Vec<IgnoredAny> = self.client().list("/v1/attestations", &[]).await?;
        let jobs: Vec<JobSummary> = self.client().list("/v1/jobs", &[]).await?;
        let are_there = !jobs.is_empty() && jobs.len() == attestations.len();
        self.claim(are_there, &format!("each attestation is a job: {}", jobs.len()));
        let second = self.definitions().import().await?;
        self.claim(second.events == 0, "imported again, the same files change nothing");
        Ok(())
    }

    /// Waits until each job is claimed by a runtime, is on its disk, and has run.
    pub(super) async fn share_jobs(&mut self) -> Result<(), Error> {
        let deadline = Clock::now() + WITHIN;
        let jobs = loop {
            let jobs: Vec<JobSummary> = self.client().list("/v1/jobs", &[]).await?;
            let is_through = |job: &JobSummary| {
                let by = |claim: &ClaimView| job.completed.as_ref().is_some_and(|done| done.runtime == claim.runtime);
                job.claim.as_ref().is_some_and(by)
            };
            let all =
                jobs.iter().all(is_through) && self.runtimes().iter().all(|node| on_disk(node) == of(&jobs, &node.id));
            if all || Clock::now() >= deadline {
                break jobs;
            }
            tokio::time::sleep(POLL_EVERY).await;
        };
        let runtimes = self.runtimes().to_vec();
        for node in &runtimes {
            let (held, disk) = (of(&jobs, &node.id), on_disk(node));
            let holds = held == disk && !held.is_empty();
            self.claim(holds, &format!("{} holds {}, and has their specs in current/jobs", node.id, held.len()));
        }
        let held: usize = runtimes.iter().map(|node| of(&jobs, &node.id).len()).sum();
        self.claim(held == jobs.len(), &format!("each of the {} jobs is held by one of them", jobs.len()));
        let passed = |job: &&JobSummary| job.completed.as_ref().is_some_and(|done| done.outcome == "passed");
        let passed = jobs.iter().filter(passed).count();
        self.claim(passed == jobs.len(), &format!("{passed} were run, with the outcome passed"));
        self.say_evidence(&jobs).await
    }

    /// Prints the evidence of the runs.
    async fn say_evidence(&mut self, jobs: &[JobSummary]) -> Result<(), Error> {
        for job in jobs {
            let path = format!("/v1/events?entity=job/{}&type=JobCompleted&limit=1", job.id);
            let events: ListPage<EventView> = self.client().get(&path).await?;
            let Some(EventView { event_type, data, .. }) = events.items.into_iter().next() else { continue };
            let data: serde_json::Value = serde_json::from_str(data.get()).unwrap_or_default();
            let text = |name: &str| data[name].as_str().unwrap_or_default().trim().to_owned();
            let line = format!("   {event_type}: {}: {}", text("runtime"), text("evidence"));
            self.say(Style::Dim, &line);
        }
        Ok(())
    }
}

/// The ids of a runtime's jobs.
fn of(jobs: &[JobSummary], runtime: &str) -> BTreeSet<String> {
    let is_its = |job: &&JobSummary| job.claim.as_ref().is_some_and(|claim| claim.runtime.as_str() == runtime);
    jobs.iter().filter(is_its).map(|job| job.id.to_string()).collect()
}

/// The ids of the jobs whose specs are in force on a node's disk.
fn on_disk(node: &DevNode) -> BTreeSet<String> {
    let files = std::fs::read_dir(node.dir.join("current/jobs")).into_iter().flatten().flatten();
    let names = files.filter_map(|file| file.file_name().into_string().ok());
    names.filter_map(|name| name.strip_suffix(".json").map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

    use super::*;

    fn run(spec: &str) -> (bool, String) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("spec.json");
        std::fs::write(&file, spec).unwrap();
        let command = JOB_COMMAND.replace("{}", file.to_str().unwrap());
        let said = std::process::Command::new("sh").args(["-c", &command]).output().unwrap();
        (said.status.success(), String::from_utf8(said.stdout).unwrap())
    }

    fn spec(set: &[u32], most: u32) -> String {
        let components: Vec<String> =
            set.iter().map(|value| format!(r#"{{"properties":{{"parameter:bias":"{value}"}}}}"#)).collect();
        let components = components.join(",");
        format!(r#"{{"components":[{components}],"tasks":[{{"parameter":"bias","most":"{most}"}}]}}"#)
    }

    #[test]
    fn the_command_compares_every_component_with_the_limit() {
        assert_eq!(run(&spec(&[1200, 85], 1200)), (true, "bias 85 1200 - at most 1200\n".into()));
        assert_eq!(run(&spec(&[85, 1201], 1200)), (false, "1201 is above 1200\n".into()));
        assert_eq!(run(&spec(&[], 1200)), (false, "no component says its bias\n".into()));
    }
}
