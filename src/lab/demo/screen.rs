//! The output of the demo: on a terminal a table is redrawn in place; a file gets a line for each change.
//!
//! Invariants: colours and control sequences go to a terminal only, and no colours if `NO_COLOR` is set; text of others goes through
//! `paint`, which makes it printable.

use std::io::IsTerminal as _;

use program::live_frame::LiveFrame;
use program::output::{self, StdoutError};
use schema::terminal;

/// How a piece of text looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
}

/// The output.
#[derive(Debug)]
pub(super) struct Screen {
    /// Whether standard output is a terminal.
    pub(super) is_terminal: bool,
    has_colours: bool,
    frame: LiveFrame,
    /// The first error of writing.
    failed: Option<StdoutError>,
}

impl Screen {
    pub(super) fn stdout() -> Self {
        let is_terminal = std::io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { is_terminal, has_colours: is_terminal && !no_color, frame: LiveFrame::default(), failed: None }
    }

    /// Makes text printable, and gives it a style.
    pub(super) fn paint(&self, style: Style, text: &str) -> String {
        let text = terminal::lines(text);
        let code = match style {
            _ if !self.has_colours => return text,
            Style::Plain => return text,
            Style::Bold => "1",
            Style::Dim => "2",
            Style::Red => "31",
            Style::Green => "32",
            Style::Yellow => "33",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// Prints a line below; a frame above it is not redrawn any more.
    pub(super) fn say(&mut self, text: &str) {
        self.frame.leave();
        self.write(&format!("{text}\n"));
    }

    /// Draws a frame over the last one, unless it is the same.
    pub(super) fn show(&mut self, lines: Vec<String>) {
        if self.failed.is_none() {
            self.failed = self.frame.show(lines).err();
        }
    }

    /// # Errors
    /// The first error of writing, except for a closed pipe.
    pub(super) fn finish(self) -> Result<(), StdoutError> {
        self.failed.map_or(Ok(()), Err)
    }

    fn write(&mut self, text: &str) {
        if self.failed.is_none() {
            self.failed = output::sequences(text).err();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_those_who_see_them() {
        let screen = |has_colours| Screen { is_terminal: true, has_colours, frame: LiveFrame::default(), failed: None };
        assert_eq!(screen(true).paint(Style::Green, "ok"), "\x1b[32mok\x1b[0m");
        assert_eq!(screen(false).paint(Style::Green, "ok"), "ok");
        assert_eq!(screen(true).paint(Style::Plain, "ok"), "ok");
        assert_eq!(screen(true).paint(Style::Green, "\x1b[2Jno\u{202e}"), "\x1b[32m\u{fffd}[2Jno\u{fffd}\x1b[0m");
    }
}
