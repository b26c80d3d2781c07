//! The live stream: server-sent events, read as they arrive.
//!
//! Always: each event is given whole and once. A stream that is silent for longer than a server ever is, or that has an event
//! without an end, counts as broken. Absent on purpose: reconnecting, which needs the position that only the caller knows.

use std::collections::VecDeque;
use std::time::Duration;

use reqwest::Response;

use super::error::Error;

/// A server sends at least a comment every 15 s.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// Bytes of a line, and of all lines of one event. The data of an event has at most 256 KiB.
const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// A live stream.
#[derive(Debug)]
pub struct ServerSentEvents {
    answer: Response,
    url: String,
    parser: SseParser,
}

/// Turns bytes into the `data` of events (server-sent events, of which only `data` is used).
#[derive(Debug, Default)]
struct SseParser {
    /// The line that has no end yet.
    partial: Vec<u8>,
    data: String,
    ready: VecDeque<String>,
}

impl ServerSentEvents {
    pub(super) fn new(answer: Response, url: String) -> Self {
        Self { answer, url, parser: SseParser::default() }
    }

    /// The data of the next event; none once the server has ended the stream.
    ///
    /// # Errors
    /// If the stream breaks.
    pub async fn next(&mut self) -> Result<Option<String>, Error> {
        loop {
            if let Some(data) = self.parser.ready.pop_front() {
                return Ok(Some(data));
            }
            let chunk = tokio::time::timeout(SILENCE_MAX, self.answer.chunk()).await;
            let chunk = chunk.map_err(|_| Error::Silent { url: self.url.clone() })?;
            let unreachable = |error| Error::unreachable(&self.url, error);
            match chunk.map_err(unreachable)? {
                Some(bytes) => self.parser.push(&bytes).map_err(|EventTooLong| self.too_large())?,
                None => return Ok(None),
            }
        }
    }

    fn too_large(&self) -> Error {
        Error::TooLarge { url: self.url.clone(), what: "an event", bytes_max: EVENT_BYTES_MAX }
    }
}

/// An event is larger than any that a server sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct EventTooLong;

impl SseParser {
    fn push(&mut self, bytes: &[u8]) -> Result<(), EventTooLong> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.partial.len() + self.data.len() + piece.len() > EVENT_BYTES_MAX {
                return Err(EventTooLong);
            }
            self.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.partial);
                self.push_line(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']));
            }
        }
        Ok(())
    }

    fn push_line(&mut self, line: &str) {
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
            let mut parser = SseParser::default();
            sent.as_bytes().chunks(size).for_each(|bytes| parser.push(bytes).expect("short"));
            assert_eq!(parser.ready, ["{\"ä\":1}", "2\n3"], "in pieces of {size}");
        }
    }

    #[test]
    fn neither_a_line_nor_an_event_is_endless() {
        for piece in [&b"data: and so on"[..], b"data: and so on\n", b"no data at all"] {
            let mut parser = SseParser::default();
            let taken = (0..EVENT_BYTES_MAX / 8).take_while(|_| parser.push(piece).is_ok()).count();
            assert!(taken * piece.len() <= 2 * EVENT_BYTES_MAX && taken < EVENT_BYTES_MAX / 8, "{taken}");
        }
    }
}
