//! A terminal of a given width, on which a test runs the program as a person does.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, ExitStatus};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// The side of the terminal on which the person sits.
pub(crate) struct Terminal {
    person: File,
    child: Child,
    shown: String,
}

impl Terminal {
    /// Starts a program on a terminal of so many columns. The command goes, because it would keep the terminal open.
    pub(crate) fn start(mut command: Command, columns: u16) -> Self {
        let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&person).unwrap();
        unlockpt(&person).unwrap();
        tcsetwinsize(&person, Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let name = ptsname(&person, Vec::new()).unwrap().into_string().unwrap();
        let program = OpenOptions::new().read(true).write(true).open(name).unwrap();
        let twin = || program.try_clone().unwrap();
        let child = command.stdin(twin()).stdout(twin()).stderr(twin()).spawn().unwrap();
        Self { person: person.into(), child, shown: String::new() }
    }

    /// Reads until the text is shown.
    pub(crate) fn await_text(&mut self, text: &str) {
        while !self.shown.contains(text) {
            assert!(self.read(), "`{text}` never came: {}", self.shown);
        }
    }

    pub(crate) fn write(&mut self, text: &str) {
        self.person.write_all(text.as_bytes()).unwrap();
    }

    /// What was shown in all, and how the program ended.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        while self.read() {}
        (self.child.wait().unwrap(), self.shown)
    }

    /// Whether more was shown. The kernel answers EIO once the program has closed its side.
    fn read(&mut self) -> bool {
        let mut bytes = [0; 4096];
        let read = self.person.read(&mut bytes).unwrap_or(0);
        self.shown.push_str(&String::from_utf8_lossy(&bytes[..read]).replace("\r\n", "\n"));
        read > 0
    }
}
