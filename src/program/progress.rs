//! Progress of a long command on standard error: a bar on a terminal, else a line for each percent.

use std::io::{IsTerminal as _, Write as _};

/// Width of the bar: the line then fits 80 columns.
const BAR_CHARS: usize = 40;
/// How many updates are shown at most.
const STEPS: u64 = 100;

/// Written to standard error, as the result goes to standard output.
#[derive(Debug)]
pub struct Progress {
    done: u64,
    total: u64,
    what: &'static str,
    is_terminal: bool,
    shown: u64,
}

impl Progress {
    /// Starts with 0 of `total`; `what` names the unit, such as `events written`.
    #[must_use]
    pub fn begin(what: &'static str, total: u64) -> Self {
        let mut progress = Self { done: 0, total, what, is_terminal: stderr_is_terminal(), shown: 0 };
        if total > 0 && progress.is_terminal {
            progress.show();
        }
        progress
    }

    /// Adds `count` to what is done.
    pub fn advance(&mut self, count: u64) {
        self.done += count;
        // A log file must not get a line for each of a million events.
        let is_step = self.done >= self.total || self.done - self.shown >= self.total / STEPS;
        if is_step {
            self.show();
        }
    }

    fn show(&mut self) {
        self.shown = self.done;
        let line = match self.is_terminal {
            true => format!("\r{}\x1b[K", self.bar()),
            false => format!("{} of {} {}\n", self.done, self.total, self.what),
        };
        // A closed standard error is no reason to fail.
        let mut stderr = std::io::stderr().lock();
        let _unseen = stderr.write_all(line.as_bytes()).and_then(|()| stderr.flush());
    }

    fn bar(&self) -> String {
        let full = (self.done * BAR_CHARS as u64).checked_div(self.total).unwrap_or(BAR_CHARS as u64);
        let full = usize::try_from(full).unwrap_or(BAR_CHARS).min(BAR_CHARS);
        format!("[{}{}] {} of {}", "#".repeat(full), "-".repeat(BAR_CHARS - full), self.done, self.total)
    }
}

impl Drop for Progress {
    /// The next output starts on a new line, also after an error.
    fn drop(&mut self) {
        if self.is_terminal && self.total > 0 {
            let _unseen = std::io::stderr().write_all(b"\n");
        }
    }
}

/// Whether standard error is a terminal on which a line can be written again.
pub(crate) fn stderr_is_terminal() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_full_when_all_is_done_and_not_before() {
        let bar = |done, total| Progress { done, total, what: "done", is_terminal: false, shown: 0 }.bar();
        assert_eq!(bar(0, 3), format!("[{}] 0 of 3", "-".repeat(40)));
        assert!(bar(2, 3).contains("#-"));
        assert_eq!(bar(3, 3), format!("[{}] 3 of 3", "#".repeat(40)));
        assert_eq!(bar(0, 0), format!("[{}] 0 of 0", "#".repeat(40)));
    }
}
