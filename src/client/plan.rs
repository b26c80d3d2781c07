//! `headwater plan`: shows what manifests would change, and keeps it in a file that `headwater apply` sends.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use program::output;

use crate::api_client::ApiClient;
use crate::endpoint::Options as Endpoint;
pub use crate::manifest_request::error::Error;
use crate::manifest_request::options::ManifestOptions;
use crate::manifest_request::rollout_step::RolloutOptions;
use crate::manifest_request::shown_request::decide;
use crate::request_plan::outcome_text::format_outcome;
use crate::request_plan::plan_file::PlanFile;

/// Which manifests, and where to keep the plan.
#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("source").args(["files"]).required(true))]
#[command(after_help = "\
A plan is one request. Manifests that are more than one request takes have several plans: the first that changes something is shown, \
and the next one once that is applied.\n\n\
Exit codes: 0 nothing would change; 1 something would; 2 usage, or a bad manifest; 3 could not reach the server; 4 refused.\n\n\
Examples:\n  \
headwater plan -f fleet/ --prune --out plan.json\n  \
headwater apply plan.json")]
pub struct Options {
    #[command(flatten)]
    manifests: ManifestOptions,

    #[command(flatten)]
    rollout: RolloutOptions,

    /// Write the plan to this file, in place of one that is there. It holds contents, so that only you may read it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Print the server's answer as JSON.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    endpoint: Endpoint,
}

/// Whether something would change. Prints what.
///
/// # Errors
/// If a manifest is at fault, the server refuses or can't be reached, or the file can't be written.
pub async fn run(options: Options) -> Result<bool, Error> {
    let client = ApiClient::from_options(&options.endpoint)?;
    let declared = options.manifests.read()?;
    let mut steps = options.manifests.steps(&declared, &client).await?;
    if let Some(rollout) = options.rollout.step(&client, &declared, &options.manifests, &steps).await? {
        steps = vec![rollout.step];
    }
    let total = steps.len();
    for (index, step) in steps.iter().enumerate() {
        let decided = decide(&client, step).await?;
        let is_last = index + 1 == total;
        if !decided.outcome.changes() && !is_last {
            continue;
        }
        if let Some(out) = &options.out {
            PlanFile::of(&step.request, &decided)?.write(out)?;
        }
        if options.json {
            output::json(decided.raw.get())?;
            return Ok(decided.outcome.changes());
        }
        match decided.outcome.changes() {
            true => output::text(&format_outcome(&decided.outcome))?,
            false => output::text("there is nothing to change\n")?,
        };
        if !is_last {
            let rest = total - index - 1;
            output::text(&format!("{rest} more of {total} requests follow; plan anew after this one.\n"))?;
        }
        if !decided.outcome.permitted {
            output::complain("this token may not send it (not_permitted)");
        }
        output::text(&options.manifests.membership_notes(&declared, &client).await?)?;
        return Ok(decided.outcome.changes());
    }
    Ok(false)
}
