//! One line on standard error that says how far a command is, written again and again. On a terminal only.

use std::io::Write as _;

use schema::terminal;

use crate::progress::stderr_is_terminal;

/// The line. It is gone when this is dropped, so that what is printed next stands alone.
#[derive(Debug)]
pub struct StatusLine {
    is_terminal: bool,
    is_shown: bool,
}

impl StatusLine {
    /// A line that is not written yet.
    #[must_use]
    pub fn on_stderr() -> Self {
        Self { is_terminal: stderr_is_terminal(), is_shown: false }
    }

    /// Writes the line, in place of what it said before.
    pub fn show(&mut self, text: &str) {
        if self.is_terminal {
            self.is_shown = true;
            write(&format!("\r{}\x1b[K", terminal::line(text)));
        }
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        if self.is_shown {
            write("\r\x1b[K");
        }
    }
}

/// A closed standard error is no reason to fail.
fn write(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _unseen = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}
