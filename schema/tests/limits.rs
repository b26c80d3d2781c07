//! Limits that follow from one another: what is said to fit does fit.

use schema::desired::{Desired, Entry, EntryKind, Source};
use schema::digest::Digest;
use schema::document_mode::DocumentMode;
use schema::id::DocumentId;
use schema::limit::{
    ENTRY_OVERHEAD_BYTES_MAX, ID_CHARS_MAX, INLINE_ENTRY_BYTES_MAX, MEDIA_TYPE_BYTES_MAX, PATH_BYTES_MAX,
};
use schema::position::{Position, Version};
use schema::wire::WireRecord as _;

#[test]
fn no_entry_adds_more_to_a_record_than_the_limit_says() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/records/desired-sixteen-entries.json");
    let mut desired: Desired = serde_json::from_str(&std::fs::read_to_string(golden).unwrap()).unwrap();
    let without = desired.write().len();
    let content = vec![0; usize::try_from(INLINE_ENTRY_BYTES_MAX).unwrap()];
    let id: DocumentId = "d".repeat(ID_CHARS_MAX).parse().unwrap();
    desired.entries.push(Entry {
        path: "p".repeat(PATH_BYTES_MAX),
        kind: EntryKind::Document,
        media_type: "m".repeat(MEDIA_TYPE_BYTES_MAX),
        size: u64::MAX,
        digest: Digest::of(b""),
        inline: Some(content.clone()),
        source: Source { entity: (&id).into(), version: Version::from(u64::MAX), position: Position::from(u64::MAX) },
        mode: DocumentMode::Executable,
    });
    let added = desired.write().len() - without - content.len();
    assert!(added <= ENTRY_OVERHEAD_BYTES_MAX, "{added}");
}
