//! Lines on a terminal that are redrawn in place.
//!
//! Always: a frame is one write, and each line is overwritten before the rest of it is cleared, so that nothing flickers; a long line is cut
//! at the terminal's width. The caller makes text of others printable.

use crate::output::{self, PipeState, StdoutError};

/// The frame that is still being redrawn.
#[derive(Clone, Debug, Default)]
pub struct LiveFrame(Vec<String>);

impl LiveFrame {
    /// Draws a frame over the last one, unless it is the same.
    ///
    /// # Errors
    /// If standard output can't be written.
    pub fn show(&mut self, lines: Vec<String>) -> Result<PipeState, StdoutError> {
        if self.0 == lines {
            return Ok(PipeState::Open);
        }
        let written = output::sequences(&redrawn(self.0.len(), &lines));
        self.0 = lines;
        written
    }

    /// Lets the frame stand as it is: the next one is drawn below it.
    pub fn leave(&mut self) {
        self.0.clear();
    }
}

/// The bytes that draw `lines` over `above` lines above the cursor: as one synchronized update (mode 2026), without line wrap.
fn redrawn(above: usize, lines: &[String]) -> String {
    let up = if above == 0 { String::new() } else { format!("\x1b[{above}A") };
    let lines: String = lines.iter().map(|line| format!("\r{line}\x1b[K\n")).collect();
    format!("\x1b[?2026h\x1b[?7l{up}{lines}\x1b[J\x1b[?7h\x1b[?2026l")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_takes_the_place_of_the_last_one() {
        let lines = ["a".to_owned(), "b".to_owned()];
        assert_eq!(redrawn(0, &lines), "\x1b[?2026h\x1b[?7l\ra\x1b[K\n\rb\x1b[K\n\x1b[J\x1b[?7h\x1b[?2026l");
        assert!(redrawn(3, &lines).contains("\x1b[3A\ra"));
    }
}
