//! `headwater rollout watch`: how a rollout goes, until it has ended or was halted.

use std::time::Duration;

use api::rollout::{RolloutDetail, StageView};
use program::live_frame::LiveFrame;
use program::output::{self, PipeState};
use schema::id::RolloutId;
use schema::rollout::OutcomeCounts;
use schema::terminal;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::api_client::ApiClient;
use crate::endpoint::Options as Endpoint;
use crate::fleet::Error;
use crate::get::table::{Column, ColumnStyle, format_table};
use crate::get::terminal_width;
use crate::rollout::text;

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

const COLUMNS: [Column; 7] = [
    Column { head: "STAGE", places: &["/name"], style: ColumnStyle::Whole },
    Column { head: "NODES", places: &["/members"], style: ColumnStyle::Number },
    Column { head: "RELEASES", places: &["/quota"], style: ColumnStyle::Number },
    Column { head: "RELEASED", places: &["/released"], style: ColumnStyle::Number },
    Column { head: "CONFIRMED", places: &["/confirmed"], style: ColumnStyle::Number },
    Column { head: "FAILED", places: &["/failed"], style: ColumnStyle::Number },
    Column { head: "OTHERS", places: &["/others"], style: ColumnStyle::Number },
];

/// Shows a rollout. False if it did not end well.
///
/// # Errors
/// If there is no such rollout, the server can't be reached, or the output can't be written.
pub(super) async fn run(id: &RolloutId, endpoint: &Endpoint) -> Result<bool, Error> {
    let client = ApiClient::from_options(endpoint)?;
    let (mut frame, mut last) = (LiveFrame::default(), String::new());
    // The table goes when the rollout ends: until then the last one seen stays.
    let mut stages = Vec::new();
    loop {
        let rollout: RolloutDetail = client.get(&text::path(id)).await?;
        let line = text::progress(&rollout.summary);
        if !rollout.stages.is_empty() {
            stages.clone_from(&rollout.stages);
        }
        let shown = match terminal_width() {
            Some(width) => frame.show(lines(id, &line, &stages, width))?,
            None if line != last => output::text(&line)?,
            None => PipeState::Open,
        };
        if shown == PipeState::Closed {
            return Ok(true);
        }
        match rollout.summary.status.as_str() {
            "promoted" | "completed" => return Ok(true),
            "halted" | "aborted" => return Ok(false),
            _ => {}
        }
        last = line;
        sleep(LOOK_EVERY).await;
    }
}

/// The stages as a table, and below it what happens.
fn lines(id: &RolloutId, progress: &str, stages: &[StageView], width: usize) -> Vec<String> {
    let rows: Vec<Value> = stages.iter().map(row).collect();
    let table = if rows.is_empty() { String::new() } else { format_table(&COLUMNS, &rows, Some(width)) };
    let all = format!("{table}{id} {progress}");
    all.lines().flat_map(|line| wrapped(&terminal::line(line), width)).collect()
}

fn row(stage: &StageView) -> Value {
    let OutcomeCounts { confirmed, failed, late, lost, moot, shadowed } = stage.counts;
    // A stage that is not open yet has no numbers.
    let opened = |number: u32| if stage.quota == 0 { Value::Null } else { json!(number) };
    json!({"name": stage.name, "members": opened(stage.members), "quota": opened(stage.quota), "released": opened(stage.released),
        "confirmed": opened(confirmed), "failed": opened(failed + late + lost), "others": opened(moot + shadowed)})
}

/// A long line in pieces, parted between words: a frame is redrawn by its number of lines.
fn wrapped(line: &str, width: usize) -> Vec<String> {
    if line.chars().count() <= width {
        return vec![line.to_owned()];
    }
    let mut pieces = vec![String::new()];
    for word in line.split(' ') {
        let piece = pieces.last_mut().expect("BUG: there is a piece");
        match piece.is_empty() || piece.chars().count() + 1 + word.chars().count() <= width {
            true if piece.is_empty() => piece.push_str(word),
            true => *piece = format!("{piece} {word}"),
            false => pieces.push(format!("  {word}")),
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_the_stages_and_what_is_waited_for() {
        let stage = |name: &str, quota: u32, counts: Value| {
            json!({"name": name, "select": null, "up_to": {"percent": 100}, "at_least": 1,
            "bake_s": 60, "gate": "auto", "approved": false, "members": quota, "quota": quota, "released": quota, "counts": counts})
        };
        let none = json!({"confirmed": 0, "failed": 0, "late": 0, "lost": 0, "moot": 0, "shadowed": 0});
        let some = json!({"confirmed": 1, "failed": 1, "late": 0, "lost": 1, "moot": 2, "shadowed": 0});
        let stages: Vec<StageView> =
            serde_json::from_value(json!([stage("canary", 5, some), stage("rest", 0, none)])).expect("stages");
        let id: RolloutId = "r-1".parse().expect("an id");
        let shown = lines(&id, "running, stage canary: 5 released; waits for a, b to run the changes\n", &stages, 72);
        assert_eq!(
            shown,
            [
                "STAGE   NODES  RELEASES  RELEASED  CONFIRMED  FAILED  OTHERS",
                "canary      5         5         5          1       2       2",
                "rest        -         -         -          -       -       -",
                "r-1 running, stage canary: 5 released; waits for a, b to run the changes",
            ]
        );
        assert_eq!(lines(&id, "running; waits\u{1b}[2J\n", &[], 12), ["r-1 running;", "  waits\u{fffd}[2J"]);
    }
}
