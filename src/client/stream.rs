//! The log as it grows: server-sent events, read as they come.
//!
//! Always: each event comes whole and once; a stream that is silent for longer than the door ever is, or whose event has no
//! end, counts as broken.
//! Absent on purpose: opening it again; whoever reads knows how far it has come.

use std::collections::VecDeque;
use std::time::Duration;

use reqwest::Response;

use super::error::Error;

/// The door says something every 15 s, be it only that it is there.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// Bytes of a line, and of the lines of one event: the door's largest holds an event of 256 KiB.
const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// A live stream.
#[derive(Debug)]
pub struct Stream {
    answer: Response,
    url: String,
    lines: Lines,
}

/// Bytes as they come, and what they have come to.
#[derive(Debug, Default)]
struct Lines {
    begun: Vec<u8>,
    data: String,
    ready: VecDeque<String>,
}

impl Stream {
    pub(super) fn of(answer: Response, url: String) -> Self {
        Self { answer, url, lines: Lines::default() }
    }

    /// The data of the next event; nothing once the door has ended the stream.
    ///
    /// # Errors
    /// If the stream breaks.
    pub async fn next(&mut self) -> Result<Option<String>, Error> {
        loop {
            if let Some(data) = self.lines.ready.pop_front() {
                return Ok(Some(data));
            }
            let chunk = tokio::time::timeout(SILENCE_MAX, self.answer.chunk()).await;
            let chunk = chunk.map_err(|_| Error::Silent { url: self.url.clone() })?;
            let unreached =
                |source: reqwest::Error| Error::Unreached { url: self.url.clone(), source: source.without_url() };
            match chunk.map_err(unreached)? {
                Some(bytes) => self.lines.take(&bytes).map_err(|TooLong| self.too_long())?,
                None => return Ok(None),
            }
        }
    }

    fn too_long(&self) -> Error {
        Error::TooLarge { url: self.url.clone(), what: "an event", bytes_max: EVENT_BYTES_MAX }
    }
}

/// An event is larger than any of the door's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TooLong;

impl Lines {
    fn take(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.begun.len() + self.data.len() + piece.len() > EVENT_BYTES_MAX {
                return Err(TooLong);
            }
            self.begun.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.begun);
                self.line(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']));
            }
        }
        Ok(())
    }

    fn line(&mut self, line: &str) {
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            self.ready.extend(Some(data).filter(|data| !data.is_empty()));
        } else if let Some(data) = line.strip_prefix("data:") {
            if !self.data.is_empty() {
                self.data.push('\n');
            }
            self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_whole_however_their_bytes_are_cut() {
        let sent = ":\n\nid: 1\nevent: a\ndata: {\"ä\":1}\n\ndata:2\r\ndata: 3\r\n\r\ndata: unfinished\n";
        for size in [1, 2, 3, 7, sent.len()] {
            let mut lines = Lines::default();
            sent.as_bytes().chunks(size).for_each(|bytes| lines.take(bytes).expect("short"));
            assert_eq!(lines.ready, ["{\"ä\":1}", "2\n3"], "in pieces of {size}");
        }
    }

    #[test]
    fn neither_a_line_nor_an_event_is_endless() {
        for piece in [&b"data: and so on"[..], b"data: and so on\n", b"no data at all"] {
            let mut lines = Lines::default();
            let taken = (0..EVENT_BYTES_MAX / 8).take_while(|_| lines.take(piece).is_ok()).count();
            assert!(taken * piece.len() <= 2 * EVENT_BYTES_MAX && taken < EVENT_BYTES_MAX / 8, "{taken}");
        }
    }
}
