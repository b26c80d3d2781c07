//! What a hostile export may make its reader hold.

use replay::file::body;

/// A block of so many empty checkpoints: two bytes and a name, and one byte for each.
fn empty_notes(count: u32) -> Vec<u8> {
    let mut raw = vec![0x81, 0xa5];
    raw.extend(b"notes");
    raw.push(0xdd);
    raw.extend(count.to_be_bytes());
    raw.resize(raw.len() + usize::try_from(count).unwrap(), 0xa0);
    raw
}

#[test]
fn a_block_of_millions_of_empty_texts_is_refused_before_they_are_held() {
    assert_eq!(body::read_checkpoints(&empty_notes(1_000)).unwrap().len(), 1_000);
    assert!(body::read_checkpoints(&empty_notes(4_000_000)).is_err());
}
