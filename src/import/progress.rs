//! How far an import has come: a bar where somebody watches, a line for each request where nobody does.

use std::io::{IsTerminal as _, Write as _};

/// Characters of the bar: the line then fits 80 columns.
const BAR_CHARS: usize = 40;

/// Says it on standard error; what is printed at the end goes elsewhere.
#[derive(Debug)]
pub(super) struct Progress {
    done: usize,
    total: usize,
    is_terminal: bool,
}

impl Progress {
    /// So many definitions are to be made.
    pub(super) fn begin(total: usize) -> Self {
        let is_terminal = std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let progress = Self { done: 0, total, is_terminal };
        if total > 0 && is_terminal {
            progress.show();
        }
        progress
    }

    /// So many more were.
    pub(super) fn advance(&mut self, count: usize) {
        self.done += count;
        self.show();
    }

    fn show(&self) {
        let line = match self.is_terminal {
            true => format!("\r{}\x1b[K", self.bar()),
            false => format!("{} of {} definitions sent\n", self.done, self.total),
        };
        // Whoever has closed it does not want it.
        let mut stderr = std::io::stderr().lock();
        let _unseen = stderr.write_all(line.as_bytes()).and_then(|()| stderr.flush());
    }

    fn bar(&self) -> String {
        let full = (self.done * BAR_CHARS).checked_div(self.total).unwrap_or(BAR_CHARS);
        format!("[{}{}] {} of {}", "#".repeat(full), "-".repeat(BAR_CHARS - full), self.done, self.total)
    }
}

impl Drop for Progress {
    /// What follows begins on a line of its own, also after a refusal.
    fn drop(&mut self) {
        if self.is_terminal && self.total > 0 {
            let _unseen = std::io::stderr().write_all(b"\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_full_when_all_is_done_and_not_before() {
        let bar = |done, total| Progress { done, total, is_terminal: false }.bar();
        assert_eq!(bar(0, 3), format!("[{}] 0 of 3", "-".repeat(40)));
        assert!(bar(2, 3).contains("#-"));
        assert_eq!(bar(3, 3), format!("[{}] 3 of 3", "#".repeat(40)));
        assert_eq!(bar(0, 0), format!("[{}] 0 of 0", "#".repeat(40)));
    }
}
