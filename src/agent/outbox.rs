//! The outbox of a node: what it proposes, on its own disk until the verdict is final.
//!
//! Each proposal is a file `outbox/<uuid>.json`. A program may write one itself: under a name that begins with a dot, and then renamed.
//! What such a file does not say about the present is filled in when the agent first sees it, and never again: a proposal rests on
//! what the node had when it was made.
//!
//! Invariants: a file gets its name only once it is whole and on the disk; a file that can't be read stays, and is told of; its content
//! does not change after it was sent, because the log takes an id for one content only.
//!
//! Absent on purpose: sending, which needs NATS.

use std::fs;
use std::io;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use program::durable_file::{self, FileMode};
use schema::desired::{Desired, EntryKind};
use schema::id::ProposalUuid;
use schema::instant::Instant;
use schema::limit::{PROPOSAL_BYTES_MAX, REASON_BYTES_MAX};
use schema::position::Position;
use schema::proposal::ProposalBase;
use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use crate::disk;
use crate::layout::Layout;
use crate::regular_file;

/// Bytes of a file in the outbox: the largest content, of which JSON writes each byte as six at most, and the rest beside it.
const FILE_BYTES_MAX: u64 = 6 * PROPOSAL_BYTES_MAX as u64 + 64 * 1024;

/// Bytes of what a file says beside its content: what the message of a proposal has room for.
const BESIDE_BYTES_MAX: usize = REASON_BYTES_MAX + 2 * 1024;

/// A proposal as it lies in the outbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutboxFile {
    /// The path of the file below `files/`.
    pub path: String,
    /// The media type of the file.
    pub media_type: String,
    /// The file as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// The file in base64 with padding, in place of `content`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_base64: Option<String>,
    /// Whether the node takes the proposal back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withdrawn: bool,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the node had at the path. Absent until the agent has seen the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<ProposalBase>,
    /// When that was. Absent until the agent has seen the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Instant>,
}

/// A file in the outbox that is no proposal.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The disk fails, or there is no regular file.
    #[error("{} can't be read or written", .path.display())]
    Disk {
        /// The path of the file or of the folder.
        path: PathBuf,
        /// The error of the disk.
        source: io::Error,
    },
    /// The file has more bytes than a proposal can have.
    #[error("{} has {bytes} bytes, more than a proposal can have", .path.display())]
    TooLarge {
        /// The path of the file.
        path: PathBuf,
        /// Its size in bytes.
        bytes: u64,
    },
    /// The file says something else than a proposal does.
    #[error("{} is no proposal: {why}", .path.display())]
    NoProposal {
        /// The path of the file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// The files in the outbox.
#[derive(Debug, Default)]
pub struct OutboxListing {
    /// The proposals, the oldest first as their ids are of version 7, each with what the file says.
    pub proposals: Vec<(ProposalUuid, Result<OutboxFile, OutboxError>)>,
    /// Names of files that no proposal has.
    pub others: Vec<String>,
}

/// The outbox of one folder.
#[derive(Clone, Debug)]
pub struct Outbox {
    dir: PathBuf,
}

impl OutboxFile {
    /// The bytes of the file that is proposed.
    ///
    /// # Errors
    /// With what is wrong: there is none, there are two, or it is no base64.
    pub fn bytes(&self) -> Result<Vec<u8>, String> {
        match (&self.content, &self.content_base64) {
            (Some(text), None) => Ok(text.clone().into_bytes()),
            (None, Some(text)) => STANDARD.decode(text).map_err(|error| format!("`content_base64`: {error}")),
            (None, None) => Err("one of `content` and `content_base64` is needed".to_owned()),
            (Some(_), Some(_)) => Err("`content` and `content_base64` exclude each other".to_owned()),
        }
    }

    /// Checks that it has room in a message: a larger one would never reach the server.
    ///
    /// # Errors
    /// With what is wrong.
    pub fn checked(&self) -> Result<(), String> {
        let content = self.bytes()?.len();
        if content > PROPOSAL_BYTES_MAX {
            return Err(format!("its content has {content} bytes, and at most {PROPOSAL_BYTES_MAX} are allowed"));
        }
        let reason = self.reason.as_ref().map_or(0, String::len);
        if reason > REASON_BYTES_MAX {
            return Err(format!("its reason has {reason} bytes, and at most {REASON_BYTES_MAX} are allowed"));
        }
        let beside = reason + self.path.len() + self.media_type.len();
        if beside > BESIDE_BYTES_MAX {
            return Err(format!(
                "path, media type and reason have {beside} bytes, and at most {BESIDE_BYTES_MAX} are allowed"
            ));
        }
        Ok(())
    }
}

/// What a node has at a path, by the record that is in force; nothing where no record is.
#[must_use]
pub fn base_of(running: Option<&Desired>, path: &str) -> ProposalBase {
    let Some(record) = running else { return ProposalBase { position: Position::ZERO, digest: None } };
    let mut documents = record.entries.iter().filter(|entry| entry.kind == EntryKind::Document);
    let digest = documents.find(|entry| entry.path == path).map(|entry| entry.digest);
    ProposalBase { position: record.position, digest }
}

/// The id `now`, of version 7, or a later one if it is not above all that are `known`. Proposals are sent in the order of their ids, and of two for one path the later one counts, also
/// on a machine whose clock was put back.
#[must_use]
pub fn id_after(now: Uuid, known: impl Iterator<Item = ProposalUuid>) -> ProposalUuid {
    let millis = |uuid: Uuid| u64::try_from(uuid.as_u128() >> 80).expect("BUG: 48 bits have room");
    let next = known.max().map(|last| millis(last.uuid()) + 1).filter(|next| *next > millis(now) && *next < 1 << 48);
    let random = now.into_bytes().last_chunk().copied().expect("BUG: 16 bytes end in 10");
    next.map_or(now, |next| Builder::from_unix_timestamp_millis(next, &random).into_uuid()).into()
}

impl Outbox {
    /// The outbox in a node's folder.
    #[must_use]
    pub fn of(layout: &Layout) -> Self {
        Self { dir: layout.root().join("outbox") }
    }

    /// Whether anything was ever put into it.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.dir.exists()
    }

    /// Puts a proposal into the outbox, durably. The id must be a new one.
    ///
    /// # Errors
    /// If the disk fails, or there is a proposal of that id.
    pub fn add(&self, id: ProposalUuid, file: &OutboxFile) -> Result<(), OutboxError> {
        fs::create_dir_all(&self.dir).map_err(|source| self.failed(self.dir.clone(), source))?;
        let path = self.path(id);
        durable_file::create(&path, &json(file), FileMode::Exact(disk::FILE_MODE))
            .map_err(|source| self.failed(path, source))
    }

    /// Fills in what the node had when the agent first saw the file. What is there stays.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn pin(
        &self,
        id: ProposalUuid,
        file: &OutboxFile,
        base: ProposalBase,
        at: Instant,
    ) -> Result<OutboxFile, OutboxError> {
        if file.base.is_some() && file.at.is_some() {
            return Ok(file.clone());
        }
        let pinned = OutboxFile { base: file.base.or(Some(base)), at: file.at.or(Some(at)), ..file.clone() };
        let path = self.path(id);
        durable_file::replace(&path, &json(&pinned), FileMode::Exact(disk::FILE_MODE))
            .map_err(|source| self.failed(path, source))?;
        Ok(pinned)
    }

    /// What is in the outbox; nothing if there is no such folder.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub fn list(&self) -> Result<OutboxListing, OutboxError> {
        let mut listing = OutboxListing::default();
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(listing),
            entries => entries.map_err(|source| self.failed(self.dir.clone(), source))?,
        };
        for entry in entries {
            let name = entry.map_err(|source| self.failed(self.dir.clone(), source))?.file_name();
            let name = name.to_string_lossy().into_owned();
            // A file that is still being written has a name that begins with a dot.
            match name.strip_suffix(".json").and_then(|id| id.parse::<ProposalUuid>().ok()) {
                _ if name.starts_with('.') => {}
                Some(id) if self.path(id) == self.dir.join(&name) => listing.proposals.push((id, self.read(id))),
                _ => listing.others.push(name),
            }
        }
        listing.proposals.sort_by_key(|(id, _)| *id);
        listing.others.sort();
        Ok(listing)
    }

    /// Removes a proposal, durably. One that is gone is no error.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn remove(&self, id: ProposalUuid) -> Result<(), OutboxError> {
        let path = self.path(id);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(self.failed(path, error)),
            _ => {}
        }
        match durable_file::sync_folder(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed(self.dir.clone(), error)),
            _ => Ok(()),
        }
    }

    fn read(&self, id: ProposalUuid) -> Result<OutboxFile, OutboxError> {
        let path = self.path(id);
        let disk = |source| self.failed(path.clone(), source);
        let bytes = fs::symlink_metadata(&path).map_err(disk)?.len();
        if bytes > FILE_BYTES_MAX {
            return Err(OutboxError::TooLarge { path, bytes });
        }
        let text = regular_file::read(&path).map_err(disk)?;
        let no_proposal = |why: String| OutboxError::NoProposal { path: path.clone(), why };
        let file: OutboxFile = serde_json::from_slice(&text).map_err(|error| no_proposal(error.to_string()))?;
        file.checked().map_err(no_proposal)?;
        Ok(file)
    }

    fn path(&self, id: ProposalUuid) -> PathBuf {
        self.dir.join(format!("{id}.json"))
    }

    fn failed(&self, path: PathBuf, source: io::Error) -> OutboxError {
        OutboxError::Disk { path, source }
    }
}

fn json(file: &OutboxFile) -> Vec<u8> {
    serde_json::to_vec_pretty(file).expect("BUG: texts and numbers can be written as JSON")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

    use schema::digest::Digest;
    use serde_json::json;

    use super::*;

    fn id(number: u128) -> ProposalUuid {
        Uuid::from_u128(number).into()
    }

    fn file() -> OutboxFile {
        serde_json::from_str(r#"{"path": "a", "media_type": "text/plain", "content": "x"}"#).unwrap()
    }

    #[test]
    fn what_was_put_is_listed_in_order_until_it_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let outbox = Outbox::of(&Layout::of(dir.path().to_owned()));
        assert!(outbox.list().unwrap().proposals.is_empty(), "there is no folder yet");
        outbox.remove(id(1)).unwrap();
        for number in [2, 1, 3] {
            outbox.add(id(number), &file()).unwrap();
        }
        assert!(outbox.add(id(1), &file()).is_err(), "an id has one content");
        outbox.remove(id(2)).unwrap();
        let listed: Vec<ProposalUuid> = outbox.list().unwrap().proposals.into_iter().map(|(id, _)| id).collect();
        assert_eq!(listed, [id(1), id(3)]);
    }

    #[test]
    fn a_new_id_is_above_all_that_are_known_also_after_the_clock_was_put_back() {
        let at = |millis: u64, rest: u8| Builder::from_unix_timestamp_millis(millis, &[rest; 10]).into_uuid();
        let (now, ahead) = (at(1_000, 1), at(9_000, 0xff));
        assert_eq!(id_after(now, std::iter::empty()), now.into());
        let next = id_after(now, [ahead.into(), id(3)].into_iter());
        assert!(next > ahead.into() && id_after(now, [next].into_iter()) > next);
        assert!(id_after(now, [at(1_000, 9).into()].into_iter()) > at(1_000, 9).into(), "within the same millisecond");
        assert_eq!(next.uuid().get_version_num(), 7);
    }

    #[test]
    fn what_the_node_had_is_filled_in_once() {
        let dir = tempfile::tempdir().unwrap();
        let outbox = Outbox::of(&Layout::of(dir.path().to_owned()));
        outbox.add(id(1), &file()).unwrap();
        let base = |position: u64| ProposalBase { position: position.into(), digest: Some(Digest::of(b"")) };
        let at = Instant::from_unix_micros;
        let pinned = outbox.pin(id(1), &file(), base(4), at(1)).unwrap();
        assert_eq!((pinned.base, pinned.at), (Some(base(4)), Some(at(1))));
        let again = outbox.pin(id(1), &pinned, base(9), at(2)).unwrap();
        assert_eq!(again, pinned);
        assert_eq!(outbox.list().unwrap().proposals.remove(0).1.unwrap(), pinned);
    }

    #[test]
    fn what_is_no_proposal_is_told_of_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let outbox = Outbox::of(&Layout::of(dir.path().to_owned()));
        outbox.add(id(1), &file()).unwrap();
        let at = |name: &str| dir.path().join("outbox").join(name);
        let name = |number: u128| format!("{}.json", id(number));
        fs::write(at(".half.json"), "{").unwrap();
        fs::write(at("notes.txt"), "mine").unwrap();
        fs::write(at(&name(2)), "{}").unwrap();
        fs::write(at(&name(3)), r#"{"path": "a", "media_type": "text/plain"}"#).unwrap();
        fs::write(at(&name(4)), r#"{"path": "a", "media_type": "t/p", "content_base64": "?"}"#).unwrap();
        let with_reason =
            |bytes: usize| json!({"path": "a", "media_type": "t/p", "content": "", "reason": "r".repeat(bytes)});
        fs::write(at(&name(7)), with_reason(REASON_BYTES_MAX + 1).to_string()).unwrap();
        let large = json!({"path": "a", "media_type": "t/p", "content": "c".repeat(PROPOSAL_BYTES_MAX + 1)});
        fs::write(at(&name(8)), large.to_string()).unwrap();
        let long = json!({"path": "a".repeat(BESIDE_BYTES_MAX), "media_type": "t/p", "content": ""});
        fs::write(at(&name(9)), long.to_string()).unwrap();
        std::os::unix::fs::symlink(at(&name(1)), at(&name(5))).unwrap();
        fs::write(at(&name(6)), vec![b' '; usize::try_from(FILE_BYTES_MAX).unwrap() + 1]).unwrap();
        let listing = outbox.list().unwrap();
        let read: Vec<bool> = listing.proposals.iter().map(|(_, file)| file.is_ok()).collect();
        assert_eq!(read, [true, false, false, false, false, false, false, false, false]);
        assert_eq!(listing.others, ["notes.txt"]);
        assert!(at(&name(6)).exists());
    }
}
