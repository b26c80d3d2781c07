//! How much room standard output has.

use std::io::IsTerminal as _;

/// The width of the terminal, if standard output is one.
#[must_use]
pub fn terminal_width() -> Option<usize> {
    let stdout = std::io::stdout();
    let size = stdout.is_terminal().then(|| rustix::termios::tcgetwinsize(&stdout).ok()).flatten()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}
