//! `headwater demo`: shows Headwater in a minute; `make demo` runs it.
//!
//! It starts what `headwater dev` starts, in an empty folder; puts the example fleet, changes a document, puts a wrong value that
//! a node's check rejects, and corrects it; imports definitions, and shows two nodes share the jobs; lets a node propose a file,
//! and accepts it; rolls out a change node by node, and takes a bad one back. Invariants: each claim on the screen is verified; the exit code is 0 only if all claims hold; all processes end
//! with it. It uses only interfaces that users have.

mod definitions;
mod error;
mod fleet;
mod folder;
mod jobs;
mod node;
mod proposals;
mod rollouts;
mod screen;
mod story;
mod table;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use self::definitions::Definitions;
pub use self::error::Error;
pub use self::fleet::Error as FleetError;
use self::fleet::ExampleFleet;
pub use self::folder::Error as FolderError;
use self::jobs::{JOB_COMMAND, JOBS_EACH};
use self::screen::{Screen, Style};
use self::story::{RUNTIMES, Story};
use crate::dev::{self, Programs, RunningDev};
use client::api_client::ApiClient;

/// The check of the demo's nodes, as an operator of the detectors could write it, with POSIX tools only.
const CHECK: &str = r#"volts=$(sed -n 's/.*"bias_v": *\([0-9]*\).*/\1/p' {}/files/detector/high-voltage.json 2>/dev/null | sort -n | tail -n 1)
[ "${volts:-0}" -le 1500 ] || { echo "high-voltage.json asks for $volts V; this detector stands 1500 V"; exit 1; }"#;

/// Options of `headwater demo`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The folder for everything. Each demo starts with an empty folder: it removes the files of an earlier demo, and refuses
    /// a folder that no demo made.
    #[arg(long, value_name = "DIR", default_value = ".headwater-demo")]
    pub dir: PathBuf,

    /// How many nodes to show.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(2..=16))]
    pub nodes: u16,

    /// The folder with the fleet to put: manifests in fleet/, and OSCAL files in oscal/.
    #[arg(long, value_name = "DIR", default_value = "schema/examples")]
    pub examples: PathBuf,

    /// The address of the HTTP server [default: a free port of 127.0.0.1]
    #[arg(long, value_name = "ADDR")]
    pub http: Option<SocketAddr>,

    /// Programs of others.
    #[command(flatten)]
    pub programs: Programs,
}

impl Options {
    fn dev(&self) -> dev::Options {
        let Self { dir, nodes, http, programs, .. } = self.clone();
        let check = Some(CHECK.to_owned());
        let (runtimes, job_cmd) = (RUNTIMES, Some(JOB_COMMAND.to_owned()));
        let shared = dev::Options { dir, nodes, http, programs, check, ..dev::Options::default() };
        dev::Options { runtimes, job_cmd, jobs_max: JOBS_EACH, ..shared }
    }
}

/// Shows it. On a terminal it then stays up until it is asked to end.
///
/// # Errors
/// If it can't be shown, or if not all of it came true.
pub async fn run(options: Options) -> Result<(), Error> {
    let fleet = ExampleFleet::read(&options.examples)?;
    folder::recreate(&options.dir)?;
    let mut screen = Screen::stdout();
    let title = "Headwater: from a command to a verified file on each node of a fleet";
    let first = format!("1  Everything starts: PostgreSQL, NATS, the server and {} nodes", options.nodes);
    screen.say(&format!("{}\n\n{}", screen.paint(Style::Bold, title), screen.paint(Style::Bold, &first)));
    let begun = Instant::now();
    let mut running = dev::start(options.dev()).await?;
    let (dir, seconds) = (options.dir.display(), begun.elapsed().as_secs_f32());
    screen.say(&format!("   ready after {seconds:.1} s, in {dir}"));
    match told(&mut running, screen, fleet, &options.examples).await {
        Ok((0, screen)) => end(running, screen, &options.dir).await,
        Ok((untrue, _)) => {
            running.stop().await;
            Err(Error::Untrue { untrue, logs: options.dir.join("log") })
        }
        Err(error) => {
            running.stop().await;
            Err(error)
        }
    }
}

/// Tells the story, unless it is interrupted.
async fn told(
    running: &mut RunningDev,
    screen: Screen,
    fleet: ExampleFleet,
    examples: &Path,
) -> Result<(usize, Screen), Error> {
    let json = running.json.clone();
    let client = ApiClient::new(json.http.parse()?, json.tokens.admin.parse()?)?;
    let definitions = Definitions::new(examples, &json.http, &json.tokens.admin);
    let mut story = Story::new(screen, client, json.nodes, fleet, definitions);
    let untrue = tokio::select! {
        untrue = Box::pin(story.run()) => untrue?,
        () = running.interrupted() => return Err(Error::Interrupted),
    };
    Ok((untrue, story.into_screen()))
}

/// Prints what to try next. Without a terminal everything stops now.
async fn end(running: RunningDev, mut screen: Screen, dir: &Path) -> Result<(), Error> {
    let all = screen.paint(Style::Green, "All of it came true.");
    let next = where_next(&running.json.http);
    let dir = dir.display();
    if screen.is_terminal {
        let stays = format!("\n{all} It stays up until Ctrl-C.\nTo look around in a browser:");
        let console = running.console_link();
        screen.say(&format!("{stays}\n\n  {console}\n\nOr in another terminal:\n\n  cd {dir}\n{next}"));
        running.wait().await;
        return Ok(screen.finish()?);
    }
    running.stop().await;
    let program = std::env::args().next().unwrap_or_else(|| "headwater".into());
    let stopped = format!("\n{all} It has been stopped.\nTo bring it back: {program} dev --dir {dir}");
    screen.say(&format!("{stopped}\nWhere to look next:\n\n  cd {dir}\n{next}"));
    Ok(screen.finish()?)
}

/// Shell commands to try in the demo's folder.
fn where_next(http: &str) -> String {
    let member = |name: &str| format!("\"$(sed 's/.*\"{name}\":\"\\([^\"]*\\)\".*/\\1/' dev.json)\"");
    let (database, nats, seed) = (member("database"), member("nats"), member("nats_creds"));
    format!(
        "  url={http}\n  \
         token=\"Authorization: Bearer $(cat secrets/auditor.token)\"\n  \
         curl -H \"$token\" $url/v1/fleet\n  \
         curl -H \"$token\" $url/v1/nodes/node-2\n  \
         curl -H \"$token\" \"$url/v1/events?entity=document/dream-high-voltage\"\n  \
         curl -H \"$token\" -N -H 'Accept: text/event-stream' $url/v1/events\n  \
         psql {database} -c 'table event'\n  \
         nats -s {nats} --nkey {seed} stream ls\n  \
         ls -lR nodes/node-1/current/files\n  \
         cat log/node-2.log"
    )
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

    use std::process::Command;

    use super::*;

    fn check(volts: &str) -> (bool, String) {
        let tree = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(tree.path().join("files/detector")).unwrap();
        let text = format!("{{\n  \"channels\": [\n    {{\"bias_v\": 900}},\n    {{\"bias_v\": {volts}}}\n  ]\n}}\n");
        std::fs::write(tree.path().join("files/detector/high-voltage.json"), text).unwrap();
        let command = CHECK.replace("{}", tree.path().to_str().unwrap());
        let said = Command::new("sh").args(["-c", &command]).output().unwrap();
        (said.status.success(), String::from_utf8(said.stdout).unwrap())
    }

    #[test]
    fn the_check_lets_pass_what_a_detector_stands_and_nothing_above() {
        assert_eq!(check("1500"), (true, String::new()));
        let (passes, said) = check("10850");
        assert!(!passes && said.contains("asks for 10850 V"), "{said}");
    }

    #[test]
    fn a_tree_without_high_voltage_passes() {
        let command = CHECK.replace("{}", "/nonexistent");
        assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
    }
}
