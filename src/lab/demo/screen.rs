//! What the demo is shown on: a terminal, where a table is redrawn in place, or a file, which gets a line for each change.
//!
//! Always: colours and control sequences go to a terminal only, and no colours where `NO_COLOR` is set; a frame is one
//! write, and each of its lines is overwritten before what is left of it is cleared, so nothing flickers; a line longer
//! than the terminal is wide is cut there and does not wrap; text of others is painted, which makes it printable.

use std::io::IsTerminal as _;

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
    /// Whether there is somebody to watch.
    pub(super) is_terminal: bool,
    has_colours: bool,
    /// The lines of the frame that is still being redrawn.
    frame: Vec<String>,
    /// What became of writing, if that failed.
    failed: Option<StdoutError>,
}

impl Screen {
    /// Standard output, as it is.
    pub(super) fn stdout() -> Self {
        let is_terminal = std::io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { is_terminal, has_colours: is_terminal && !no_color, frame: Vec::new(), failed: None }
    }

    /// Printable text in a style.
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

    /// Says something below what was said; a frame above it stays as it is.
    pub(super) fn say(&mut self, text: &str) {
        self.frame.clear();
        self.write(&format!("{text}\n"));
    }

    /// Shows a frame in the place of the last one, unless it is the same.
    pub(super) fn show(&mut self, lines: Vec<String>) {
        if self.frame == lines {
            return;
        }
        self.write(&redrawn(self.frame.len(), &lines));
        self.frame = lines;
    }

    /// What becomes of the demo if it could not be shown.
    ///
    /// # Errors
    /// If the output could not be written, as far as somebody reads it.
    pub(super) fn ended(self) -> Result<(), StdoutError> {
        self.failed.map_or(Ok(()), Err)
    }

    fn write(&mut self, text: &str) {
        if self.failed.is_none() {
            self.failed = output::sequences(text).err();
        }
    }
}

/// The bytes that put `lines` in the place of so many lines above the cursor. The terminal is asked to show it all at
/// once, and not to wrap.
fn redrawn(above: usize, lines: &[String]) -> String {
    let up = if above == 0 { String::new() } else { format!("\x1b[{above}A") };
    let lines: String = lines.iter().map(|line| format!("\r{line}\x1b[K\n")).collect();
    format!("\x1b[?2026h\x1b[?7l{up}{lines}\x1b[?7h\x1b[?2026l")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_those_who_see_them() {
        let screen = |has_colours| Screen { is_terminal: true, has_colours, frame: Vec::new(), failed: None };
        assert_eq!(screen(true).paint(Style::Green, "ok"), "\x1b[32mok\x1b[0m");
        assert_eq!(screen(false).paint(Style::Green, "ok"), "ok");
        assert_eq!(screen(true).paint(Style::Plain, "ok"), "ok");
        assert_eq!(screen(true).paint(Style::Green, "\x1b[2Jno\u{202e}"), "\x1b[32m\u{fffd}[2Jno\u{fffd}\x1b[0m");
    }

    #[test]
    fn a_frame_takes_the_place_of_the_last_one() {
        let lines = ["a".to_owned(), "b".to_owned()];
        assert_eq!(redrawn(0, &lines), "\x1b[?2026h\x1b[?7l\ra\x1b[K\n\rb\x1b[K\n\x1b[?7h\x1b[?2026l");
        assert!(redrawn(2, &lines).contains("\x1b[2A\ra"));
    }
}
