//! One turn of the agent: for the newest record verify, plan, fetch, write, check, switch, run the hook, and report.
//!
//! Invariants: the generation in force stays until a newer one is complete; every turn starts from what is on disk, so a turn
//! that was interrupted anywhere is repeated; only a rejection by the operator's check or hook is final.

use std::sync::Arc;

use bytes::Bytes;
use program::failpoints;
use projections::plan::{Step, plan};
use schema::desired::Desired;
use schema::report::AttemptState;

use crate::actions::Agent;
use crate::apply_error::ApplyError;
use crate::node_state::PinnedKey;
use crate::record_watch::NewestRecord;
use crate::verify;

impl Agent {
    /// One turn: verify the newest record, apply the accepted one, and `compare` the tree in force with its record.
    pub(crate) async fn run_once(&mut self, newest: NewestRecord, compare: bool) -> Result<(), ApplyError> {
        self.folder.keep_lock()?;
        let judged = match newest {
            NewestRecord::Record(bytes) if self.judged.as_ref() != Some(&bytes) => self.judge(bytes).await,
            NewestRecord::Nothing => {
                self.add_proof();
                Ok(())
            }
            NewestRecord::Record(_) | NewestRecord::Unknown => Ok(()),
        };
        let applied = match self.want.clone() {
            Some(want) => self.apply(&want).await,
            None => Ok(()),
        };
        self.update_watch();
        let repaired = if compare { self.repair_drift().await } else { Ok(()) };
        self.note_attempt();
        self.collect_if_needed().await;
        self.update_report();
        judged.and(applied).and(repaired)
    }

    /// Verifies a record, and accepts or refuses it.
    async fn judge(&mut self, bytes: Bytes) -> Result<(), ApplyError> {
        let judged = match self.trusted_key().await {
            Ok(key) => self.judge_with(key, &bytes),
            Err(error) => Err(error),
        };
        if let Err(error) = &judged {
            self.judged = None;
            self.report.accept_failed(verify::claimed(&bytes), error);
            self.make_room(error).await;
        }
        judged?;
        // Until a key is pinned, the next attempt may find another key in NATS.
        self.judged = self.folder.state().key.is_some().then_some(bytes);
        Ok(())
    }

    fn judge_with(&mut self, key: PinnedKey, bytes: &[u8]) -> Result<(), ApplyError> {
        let (code, detail) = match verify::open(bytes, &key.0) {
            Ok(want) => match plan(&self.have()?, &want) {
                Ok(_) => return self.accept(want, bytes, key),
                Err(refusal) => {
                    if refusal.is_behind() {
                        self.add_proof();
                    }
                    (refusal.code(), refusal.to_string())
                }
            },
            Err(unverified) => {
                let record_ref = verify::claimed_beside(bytes, self.folder.state().floor);
                self.report.refuse(record_ref, unverified.code(), unverified.to_string());
                return Ok(());
            }
        };
        self.report.refuse(verify::claimed(bytes), code, detail);
        Ok(())
    }

    /// Takes the steps that the accepted record still needs.
    async fn apply(&mut self, want: &Arc<Desired>) -> Result<(), ApplyError> {
        let link = self.relinked()?;
        if !link.is_empty() {
            self.report_drift(&link).await;
        }
        let steps = plan(&self.have()?, want).map_err(|refusal| ApplyError::DamagedRecord(refusal.to_string()))?;
        let is_good = self.folder.state().last_good.is_some_and(|good| good.digest == want.digest);
        let is_repair = !link.is_empty() && is_good && !steps.is_empty();
        if is_repair && !self.may_repair(want.record_ref(), &link) {
            return Ok(());
        }
        if steps.contains(&Step::Write) && !is_repair {
            self.warnings.clear();
        }
        let applied = match self.take_steps(&steps, want).await {
            Err(ApplyError::HookRejected { code, output }) => self.reject(want, code, output).await,
            applied => applied,
        };
        // Warnings of a record that was not applied to the end are dropped.
        self.warnings.clone_from(&self.folder.state().warnings);
        match &applied {
            Ok(()) if steps.is_empty() => self.report.set_attempt(want.record_ref(), AttemptState::Applied),
            Ok(()) if is_repair => self.note_repair(),
            Ok(()) if steps.contains(&Step::Write) => self.report.repaired(),
            Ok(()) | Err(ApplyError::ShuttingDown) => {}
            Err(error) => {
                self.report.fail(want.record_ref(), error);
                self.make_room(error).await;
            }
        }
        applied
    }

    /// Deletes all old generations if the disk is full.
    async fn make_room(&mut self, error: &ApplyError) {
        if error.code() == "disk_full" {
            self.collect(0).await;
        }
    }

    /// Takes the steps of a plan in order. The agent may be killed at any point of it.
    pub(crate) async fn take_steps(&mut self, steps: &[Step], want: &Arc<Desired>) -> Result<(), ApplyError> {
        let record_ref = want.record_ref();
        for step in steps {
            if self.shutdown.is_cancelled() {
                return Err(ApplyError::ShuttingDown);
            }
            match step {
                // `judge` did this before the plan was made.
                Step::Accept => {}
                Step::Restore => self.restore(record_ref).await?,
                Step::LeaveRejected => self.report_rejected(record_ref),
                Step::Fetch(contents) => {
                    self.report.set_attempt(record_ref, AttemptState::Fetching);
                    self.fetch(want.log_id, contents).await?;
                    failpoints::APPLY_FETCHED.reached();
                }
                Step::Check => {
                    self.report.set_attempt(record_ref, AttemptState::Verified);
                    self.check(want).await?;
                    failpoints::APPLY_CHECKED.reached();
                }
                Step::Write => {
                    if !steps.contains(&Step::Check) {
                        self.report.set_attempt(record_ref, AttemptState::Verified);
                    }
                    self.write(want).await?;
                    failpoints::APPLY_WRITTEN.reached();
                }
                Step::Switch => {
                    self.report.set_attempt(record_ref, AttemptState::Applying);
                    self.switch(record_ref).await?;
                    failpoints::APPLY_SWITCHED.reached();
                    self.update_watch();
                }
                Step::Hook => {
                    self.run_apply_hook(record_ref).await?;
                    failpoints::APPLY_HOOKED.reached();
                }
                Step::Settle => {
                    self.mark_good(record_ref).await?;
                    failpoints::APPLY_SETTLED.reached();
                }
            }
        }
        Ok(())
    }
}
