//! Whatever is done to an export is found and named.
//!
//! First by somebody who knows nothing of it: any bit flipped, any cut, any blocks exchanged. Then by somebody who knows all
//! of it but the key, packs every block anew and writes the right digest at the end.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

use std::fs;

use proptest::prelude::*;
use replay::audit::Audit;
use schema::digest::Digest;
use tempfile::TempDir;

use super::file_audit::{AuditError, LocatedFinding, NoObserver, read};
use histories::forge::{self, Body, Export};
use histories::story::{self, Story};

/// What an audit with the right key says of these bytes.
fn audited(bytes: &[u8]) -> Option<LocatedFinding> {
    audited_knowing(bytes, None)
}

fn audited_knowing(bytes: &[u8], note: Option<&str>) -> Option<LocatedFinding> {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("log.hwlog");
    fs::write(&path, bytes).unwrap();
    let mut audit = Audit::new(Some(story::key().public())).allowing_an_unsigned_end();
    if let Some(note) = note {
        audit = audit.with_known_checkpoint(note.to_owned());
    }
    match read(&[path], &mut audit, &mut NoObserver) {
        Ok(_) => None,
        Err(AuditError::Found(found)) => Some(*found),
        Err(failure) => panic!("{failure}"),
    }
}

fn whole(story: &Story) -> Vec<u8> {
    story.file(1, story.position())
}

/// The position and the code of a finding.
fn named(bytes: &[u8]) -> Option<(u64, &'static str)> {
    audited(bytes).map(|found| (found.finding.position.get(), found.finding.code))
}

#[test]
fn what_nobody_touched_is_right() {
    assert!(audited(&whole(&story::told())).is_none());
}

#[test]
fn a_flipped_bit_anywhere_is_found_where_it_is_or_by_the_files_digest() {
    let bytes = whole(&story::told());
    let blocks = forge::offsets(&bytes);
    // Each byte in the long form; else every third one, which still is in each field of each block.
    let step = if std::env::var("FAULT_FORM").is_ok_and(|form| form == "long") { 1 } else { 3 };
    for index in (0..bytes.len()).step_by(step) {
        let mut changed = bytes.clone();
        // Each bit of a byte in its turn, so that all are seen often.
        changed[index] ^= 1 << (index % 8);
        let found = audited(&changed).unwrap_or_else(|| panic!("byte {index} was changed unseen"));
        let block = blocks.iter().rev().find(|offset| **offset <= index).copied().unwrap_or(0) as u64;
        let at_the_end = (bytes.len() - Digest::BYTES) as u64;
        let is_in_a_length = blocks.iter().any(|offset| (offset + 1..offset + 9).contains(&index));
        let near = [block, at_the_end].contains(&found.offset) || (is_in_a_length && found.offset >= block);
        assert!(near, "byte {index} of the block at {block}: {found:?}");
        assert!(!found.finding.expected.is_empty() && !found.finding.found.is_empty(), "{found:?}");
    }
}

#[test]
fn a_cut_anywhere_is_found_where_it_is() {
    let bytes = whole(&story::told());
    for length in (0..bytes.len()).step_by(3) {
        let found = audited(&bytes[..length]).unwrap_or_else(|| panic!("{length} bytes pass for all"));
        assert_eq!(found.finding.code, "cut", "{length}");
        assert!(found.offset <= length as u64, "{length}: {found:?}");
    }
    let found = audited(&[bytes.as_slice(), b"x"].concat()).unwrap();
    assert_eq!((found.finding.code, found.offset), ("block_order", bytes.len() as u64), "and so is what follows");
}

#[test]
fn blocks_that_are_exchanged_left_out_or_repeated_are_found() {
    let bytes = whole(&story::told());
    let export = Export::read(&bytes);
    let count = export.blocks.len();
    for first in 0..count {
        let mut without = export.clone();
        without.blocks.remove(first);
        assert!(audited(&without.stored(&bytes)).is_some(), "block {first} is left out");
        let mut twice = export.clone();
        twice.blocks.insert(first, export.blocks[first].clone());
        assert!(audited(&twice.stored(&bytes)).is_some(), "block {first} comes twice");
        for second in first + 1..count {
            let mut exchanged = export.clone();
            exchanged.blocks.swap(first, second);
            assert!(audited(&exchanged.stored(&bytes)).is_some(), "blocks {first} and {second}");
        }
    }
}

/// What comes of exchanging, leaving out or repeating blocks with the right digest at the end: the events are in the right
/// order, or the first that is not is named.
#[test]
fn blocks_of_events_keep_their_order_whatever_digest_is_written() {
    let bytes = whole(&story::told());
    let export = Export::read(&bytes);
    let is_events = |index: &usize| matches!(export.blocks[*index].body, Body::Events(_));
    let events: Vec<usize> = (0..export.blocks.len()).filter(is_events).collect();
    assert!(events.len() > 3, "there are several");
    for (number, first) in events.iter().copied().enumerate() {
        let begins = export.blocks[first].first_position();
        let mut without = export.clone();
        without.blocks.remove(first);
        let expected = if number + 1 == events.len() { "end" } else { "gap" };
        let found = named(&without.forged()).unwrap();
        assert!(found.0 <= begins && (found.1 == expected || found.1 == "blob"), "{first}: {found:?}");
        for second in events[number + 1..].iter().copied() {
            let mut exchanged = export.clone();
            exchanged.blocks.swap(first, second);
            let found = named(&exchanged.forged()).unwrap();
            assert!(found.0 <= begins, "{first} and {second}: {found:?}");
        }
    }
}

#[test]
fn a_change_of_any_column_of_any_event_is_named_by_its_position() {
    let bytes = whole(&story::told());
    for item in Export::read(&bytes).rows() {
        for column in forge::COLUMNS {
            let mut export = Export::read(&bytes);
            let position = export.change(item, column);
            let found = named(&export.forged()).unwrap_or_else(|| panic!("{column} of {position} was changed unseen"));
            assert_eq!(found.0, position, "{column}: {found:?}");
        }
    }
}

#[test]
fn an_event_that_is_sealed_anew_is_named_by_the_checkpoint_over_it_or_before() {
    let story = story::told();
    let bytes = whole(&story);
    let signed = *story.notes.keys().last().unwrap();
    for item in Export::read(&bytes).rows() {
        for column in forge::COLUMNS.into_iter().filter(|column| *column != "leaf") {
            let mut export = Export::read(&bytes);
            let position = export.change(item, column);
            export.seal(item);
            match named(&export.forged()) {
                Some((found, "root")) => {
                    let next = story.notes.range(position..).next().map(|(position, _)| *position);
                    let last = story.notes.range(..position).next_back().map_or(0, |(position, _)| *position);
                    assert_eq!(found, last + 1, "{column} of {position}, which {next:?} is about");
                }
                Some((found, _)) => assert!(found >= position || column == "position", "{column} of {position}"),
                None => assert!(position > signed, "{column} of {position} was changed unseen"),
            }
        }
    }
}

#[test]
fn events_that_are_exchanged_left_out_or_repeated_are_named() {
    let bytes = whole(&story::told());
    let rows = Export::read(&bytes).rows();
    for (index, first) in rows.iter().copied().enumerate() {
        let position = index as u64 + 1;
        let mut without = Export::read(&bytes);
        without.take(first);
        let last = position == rows.len() as u64;
        assert_eq!(named(&without.forged()), Some((position, if last { "end" } else { "gap" })));
        let mut twice = Export::read(&bytes);
        twice.repeat(first);
        assert_eq!(named(&twice.forged()), Some((position + 1, if last { "end" } else { "gap" })));
        for second in rows[index + 1..].iter().copied() {
            let mut exchanged = Export::read(&bytes);
            exchanged.exchange(first, second);
            let found = named(&exchanged.forged()).unwrap();
            assert_eq!(found, (position, "gap"));
        }
    }
}

#[test]
fn a_change_of_any_byte_of_any_content_is_named() {
    let story = story::told();
    let bytes = whole(&story);
    for item in Export::read(&bytes).blobs() {
        let size = Export::read(&bytes).blob(item).1.len();
        for index in (0..size).step_by(1 + size / 64) {
            let mut export = Export::read(&bytes);
            let (digest, content) = export.blob(item);
            content[index] ^= 1;
            let (named_digest, changed) = (*digest, Digest::of(content));
            let found = audited(&export.forged()).unwrap();
            assert_eq!(found.finding.code, "blob");
            assert_eq!(found.finding.expected, named_digest.to_string());
            assert_eq!(found.finding.found, changed.to_string());
            // Also if it is called by its new name: then the event that names the old one misses it.
            *export.blob(item).0 = changed;
            let found = audited(&export.forged()).unwrap();
            let event = story.events.iter().find(|event| event.data.contains(&named_digest.to_string())).unwrap();
            assert_eq!((found.finding.position, found.finding.code), (event.position, "blob"));
        }
        let mut without = Export::read(&bytes);
        without.take(item);
        assert_eq!(audited(&without.forged()).unwrap().finding.code, "blob");
    }
}

#[test]
fn a_content_that_nobody_names_is_named() {
    let bytes = whole(&story::told());
    let mut export = Export::read(&bytes);
    let item = export.blobs()[0];
    export.repeat(item);
    *export.blob(item).1 = b"smuggled".to_vec();
    *export.blob(item).0 = Digest::of(b"smuggled");
    let found = audited(&export.forged()).unwrap();
    assert_eq!((found.finding.code, found.finding.found), ("blob", Digest::of(b"smuggled").to_string()));
}

#[test]
fn a_checkpoint_that_is_changed_in_any_byte_or_moved_is_named() {
    let bytes = whole(&story::told());
    let notes = Export::read(&bytes).notes();
    for (number, item) in notes.iter().copied().enumerate() {
        let length = Export::read(&bytes).note(item).len();
        for index in 0..length {
            let mut export = Export::read(&bytes);
            let note = export.note(item);
            let mut changed = note.clone().into_bytes();
            changed[index] ^= 1;
            let Ok(changed) = String::from_utf8(changed) else { continue };
            *note = changed;
            assert!(audited(&export.forged()).is_some(), "byte {index} of checkpoint {number}");
        }
        for other in notes[number + 1..].iter().copied() {
            let mut export = Export::read(&bytes);
            export.exchange(item, other);
            assert!(audited(&export.forged()).is_some(), "checkpoints {number} and another");
        }
    }
}

#[test]
fn a_repeated_checkpoint_is_named_and_one_at_the_seam_of_two_files_counts_once() {
    let story = story::told();
    let bytes = whole(&story);
    for item in Export::read(&bytes).notes() {
        let mut export = Export::read(&bytes);
        export.repeat(item);
        let found = audited(&export.forged()).unwrap();
        assert_eq!(found.finding.code, "checkpoint", "{item:?}");
    }
    let dir = TempDir::new().unwrap();
    let parts = [(1, story::FIRST_PART), (story::FIRST_PART + 1, story.position())].map(|(from, to)| {
        let path = dir.path().join(format!("{from}.hwlog"));
        fs::write(&path, story.file(from, to)).unwrap();
        path
    });
    let mut audit = Audit::new(Some(story::key().public())).allowing_an_unsigned_end();
    read(&parts, &mut audit, &mut NoObserver).unwrap();
    assert!(story.notes.contains_key(&story::FIRST_PART), "both parts hold the checkpoint of their seam");
    assert_eq!(audit.tally().checkpoints, story.notes.len() as u64);
}

#[test]
fn a_log_that_nobody_trusted_signed_is_not_believed() {
    let bytes = whole(&story::told());
    let mut export = Export::read(&bytes);
    while let Some(item) = export.notes().first().copied() {
        export.take(item);
    }
    assert_eq!(named(&export.forged()), Some((1, "unsigned")));
}

#[test]
fn an_end_that_nobody_signed_is_not_believed_unless_it_may_be() {
    let story = story::told();
    let signed = *story.notes.keys().last().unwrap();
    assert!(signed < story.position(), "the story goes on behind its last checkpoint");
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("log.hwlog");
    let audited = |to| {
        fs::write(&path, story.file(1, to)).unwrap();
        let mut audit = Audit::new(Some(story::key().public()));
        match read(std::slice::from_ref(&path), &mut audit, &mut NoObserver) {
            Ok(_) => None,
            Err(AuditError::Found(found)) => Some((found.finding.position.get(), found.finding.code)),
            Err(failure) => panic!("{failure}"),
        }
    };
    assert_eq!(audited(signed), None);
    assert_eq!(audited(story.position()), Some((signed + 1, "unsigned")));
    assert!(super::tests::named(&whole(&story)).is_none(), "where it may be");
}

#[test]
fn each_member_of_the_header_is_checked() {
    let story = story::told();
    let bytes = story.file(1, story.position());
    let other = schema::seal::SecretKey::from_seed(&[1; 32]).public();
    type Change<'a> = &'a dyn Fn(&mut replay::file::body::ExportHeader);
    let changes: [(&str, u64, Change<'_>); 7] = [
        ("leaf", 1, &|header| header.log_id = "0197f3a0-0000-7000-8000-0000000000f2".parse().unwrap()),
        ("key", 1, &|header| header.public_key = *other.as_bytes()),
        ("gap", 1, &|header| header.from = 2.into()),
        ("end", story.position() + 1, &|header| header.to = header.to.next()),
        ("end", story.position(), &|header| header.to = header.to.previous()),
        ("end", story.position() + 1, &|header| header.to = u64::MAX.into()),
        ("edge", 1, &|header| header.frontier.push(Digest::of(b""))),
    ];
    for (code, position, change) in changes {
        let mut export = Export::read(&bytes);
        change(&mut export.header);
        assert_eq!(named(&export.forged()), Some((position, code)));
    }
}

#[test]
fn a_log_that_lost_its_tail_is_found_by_a_checkpoint_from_elsewhere() {
    let story = story::told();
    let (&signed, note) = story.notes.iter().next_back().unwrap();
    let shorter = story.file(1, story::FIRST_PART);
    assert!(audited(&shorter).is_none(), "nothing in it says that there was more");
    let found = audited_knowing(&shorter, Some(note)).unwrap();
    assert_eq!((found.finding.code, found.finding.expected), ("cut", signed.to_string()));
    assert!(audited_knowing(&whole(&story), Some(note)).is_none());
}

#[test]
fn parts_are_one_log_in_their_order_only() {
    let story = story::told();
    let dir = TempDir::new().unwrap();
    let part = |name: &str, from, to| {
        let path = dir.path().join(name);
        fs::write(&path, story.file(from, to)).unwrap();
        path
    };
    let (a, b) = (part("a", 1, story::FIRST_PART), part("b", story::FIRST_PART + 1, story.position()));
    let late = part("late", story::FIRST_PART + 3, story.position());
    let audited = |files: &[&std::path::PathBuf]| {
        let files: Vec<_> = files.iter().map(|path| (*path).clone()).collect();
        let mut audit = Audit::new(Some(story::key().public())).allowing_an_unsigned_end();
        match read(&files, &mut audit, &mut NoObserver) {
            Ok(_) => Ok(audit.position().get()),
            Err(AuditError::Found(found)) => Err((found.finding.code, found.finding.expected)),
            Err(failure) => panic!("{failure}"),
        }
    };
    let next = (story::FIRST_PART + 1).to_string();
    assert_eq!(audited(&[&a, &b]), Ok(story.position()));
    assert_eq!(audited(&[&b]), Err(("gap", "1".into())));
    assert_eq!(audited(&[&b, &a]), Err(("gap", "1".into())));
    assert_eq!(audited(&[&a, &a]), Err(("gap", next.clone())));
    assert_eq!(audited(&[&a, &late]), Err(("gap", next)));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_in_any_place_are_found_and_never_a_panic(
        index in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 1..40), remove in 0..40_usize,
    ) {
        let mut changed = whole(&story::told());
        let from = index.index(changed.len());
        let to = (from + remove).min(changed.len());
        let before = changed.clone();
        changed.splice(from..to, bytes);
        prop_assume!(changed != before);
        prop_assert!(audited(&changed).is_some());
    }
}
