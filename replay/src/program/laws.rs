//! `headwater-replay laws`: whether rollouts kept their rules.

use projections::configuration::Configuration;
use projections::fold::AffectedNodes;
use replay::log::OpenedEvent;
use replay::rollout_laws::{LAWS, RolloutLaws};
use schema::entity::Kind;
use serde_json::json;

use super::file_audit::{EventObserver, read};
use super::options::Options;
use super::output::{RunError, print, print_json, table};

/// The laws, and the state before the present event if that is one of a rollout.
#[derive(Default)]
struct LawObserver {
    laws: RolloutLaws,
    before: Option<Configuration>,
}

impl EventObserver for LawObserver {
    fn before(&mut self, event: &OpenedEvent, state: &Configuration) {
        self.before = (event.event().entity.kind == Kind::Rollout).then(|| state.clone());
    }

    fn after(&mut self, event: &OpenedEvent, state: &Configuration, _affected: &AffectedNodes) {
        if let Some(before) = self.before.take() {
            self.laws.take(event.event(), event.change(), &before, state);
        }
    }
}

/// Checks the laws, and prints how often each was checked and what breaks one.
pub(crate) fn run(options: &Options) -> Result<(), RunError> {
    let mut audit = options.how.audit()?;
    let mut observer = LawObserver::default();
    read(&options.files, &mut audit, &mut observer)?;
    let laws = observer.laws;
    let checked = |law| laws.checked().get(law).copied().unwrap_or_default();
    if options.how.json {
        let breaches = laws.breaches().iter().map(|breach| {
            json!({"position": breach.position, "rollout": breach.rollout, "law": breach.law, "detail": breach.detail})
        });
        let counts = LAWS.iter().map(|(law, _)| ((*law).to_owned(), json!(checked(law))));
        print_json(&json!({
            "ok": laws.breaches().is_empty(), "position": audit.position(),
            "checked": counts.collect::<serde_json::Map<_, _>>(), "breaches": breaches.collect::<Vec<_>>(),
        }))?;
    } else {
        let rows: Vec<Vec<String>> = LAWS
            .iter()
            .map(|(law, meaning)| vec![(*law).to_owned(), format!("checked {} times: {meaning}", checked(law))])
            .collect();
        print(&table(&rows))?;
        for breach in laws.breaches() {
            print(&format!(
                "{}: rollout {} breaks {}: {}\n",
                breach.position, breach.rollout, breach.law, breach.detail
            ))?;
        }
    }
    match laws.breaches().len() {
        0 => Ok(()),
        count => Err(RunError::Nothing(format!("laws of rollouts are broken in {count} places"))),
    }
}
