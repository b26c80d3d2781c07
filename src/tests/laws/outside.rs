//! Bytes from outside, whatever they are: the corpus of the fuzz targets, and what comes of it by changing it at random.
//! Nobody panics, nobody takes memory without a limit, and what is good is read for ever.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

/// What the whole of a target's inputs may add to the memory of this process.
const GROWTH_MIB_MAX: u64 = 128;
/// Changed inputs of each target.
const CASES: u32 = 2_000;

/// A reader, and whether it took what it read.
type Reader = fn(&[u8]) -> bool;

const TARGETS: [(&str, Reader); 5] = [
    ("pgoutput", readers::pgoutput),
    ("record", readers::record),
    ("request", readers::request),
    ("asked", readers::asked),
    ("oscal", readers::oscal),
];

/// The files that a target begins with.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() > 3, "{target} has a corpus");
    paths.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

#[test]
fn what_is_good_is_read_and_what_is_bad_is_refused() {
    for (target, read) in TARGETS {
        for (path, bytes) in corpus(target) {
            let name = path.file_name().unwrap().to_str().unwrap();
            let (is_good, is_bad) = (name.starts_with("good-"), name.starts_with("bad-"));
            assert!(is_good || is_bad, "{name} says what it is");
            assert_eq!(read(&bytes), is_good, "{target}/{name}");
        }
    }
}

/// One way to spoil bytes.
#[derive(Clone, Debug)]
enum Change {
    Flip(Index, u8),
    Cut(Index),
    Insert(Index, Vec<u8>),
    Repeat(Index, u8),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<Index>(), 1_u8..).prop_map(|(at, bits)| Change::Flip(at, bits)),
        any::<Index>().prop_map(Change::Cut),
        // Lengths that promise what does not come.
        (
            any::<Index>(),
            prop_oneof![
                Just(vec![0xff; 5]),
                Just(vec![0xdd, 0xff, 0xff, 0xff, 0xff]),
                any::<[u8; 3]>().prop_map(Vec::from)
            ]
        )
            .prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (any::<Index>(), 1_u8..).prop_map(|(from, times)| Change::Repeat(from, times)),
    ]
}

fn changed(bytes: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for change in changes {
        let length = bytes.len();
        match change {
            Change::Flip(at, bits) if length > 0 => bytes[at.index(length)] ^= bits,
            Change::Cut(at) if length > 0 => bytes.truncate(at.index(length)),
            Change::Insert(at, more) => {
                let at = at.index(length + 1);
                drop(bytes.splice(at..at, more.clone()));
            }
            Change::Repeat(from, times) if length > 0 => {
                let piece = bytes[from.index(length)..].to_vec();
                (0..*times).take(1 << 16 >> piece.len().ilog2().min(15)).for_each(|_| bytes.extend(&piece));
            }
            _ => {}
        }
    }
    bytes
}

#[test]
fn nothing_that_is_almost_good_brings_a_reader_down() {
    for (target, read) in TARGETS {
        let corpus = corpus(target);
        let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
        let input = (any::<Index>(), proptest::collection::vec(change(), 1..6));
        let before = most_mib();
        runner
            .run(&input, |(which, changes)| {
                read(&changed(&corpus[which.index(corpus.len())].1, &changes));
                Ok(())
            })
            .unwrap();
        let after = most_mib();
        assert!(after < before + GROWTH_MIB_MAX, "{target} took {} MiB", after - before);
    }
}

/// Mebibytes that this process had in memory at most.
fn most_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}
