//! A checkpoint is what the log's key signed about this log, and nothing else.

use replay::checkpoint::{Checkpoint, CheckpointError, origin};
use schema::digest::Digest;
use schema::id::LogId;
use schema::seal::SecretKey;
use signed_note::{Note, StandardVerifier, VerifierList};

/// Made once, and read for ever.
const GOLDEN: &str = "headwater/0197f3a0-0000-7000-8000-0000000000a1\n\
     256\n\
     ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=\n\
     \n\
     — headwater/0197f3a0-0000-7000-8000-0000000000a1 Roz1gK1JG8059AYWlzS7bURNpiE7ZZdyCc0Brg6LD2q0D9Zy+eMcUCcEXupwuSFqaDJC9vw0Mks8VuIDXv3Z8NtEDgQ=\n";

fn log_id() -> LogId {
    "0197f3a0-0000-7000-8000-0000000000a1".parse().unwrap()
}

fn key() -> SecretKey {
    SecretKey::from_seed(&[7; 32])
}

fn checkpoint() -> Checkpoint {
    Checkpoint { log_id: log_id(), position: 256.into(), root: Digest::of(b"abc") }
}

fn opened(note: &str) -> Result<Checkpoint, CheckpointError> {
    Checkpoint::open(note.as_bytes(), log_id(), &key().public())
}

/// A text that the key signed under a name.
fn signed(text: &str, name: &str) -> String {
    let typed = [&[1], key().public().as_bytes().as_slice()].concat();
    let id = signed_note::key_id(name, &typed);
    let signature = signed_note::Signature::new(name.into(), id, key().sign(text.as_bytes()).to_vec()).unwrap();
    String::from_utf8(Note::new(text.as_bytes(), &[signature]).unwrap().to_bytes()).unwrap()
}

#[test]
fn a_checkpoint_keeps_its_bytes() {
    assert_eq!(checkpoint().sign(&key()), GOLDEN);
    assert_eq!(opened(GOLDEN), Ok(checkpoint()));
}

#[test]
fn what_knows_nothing_of_headwater_verifies_a_checkpoint() {
    let verifier = StandardVerifier::new(&as_tools_take_it(key().public().as_bytes())).unwrap();
    let note = Note::from_bytes(checkpoint().sign(&key()).as_bytes()).unwrap();
    let (verified, unverified) = note.verify(&VerifierList::new(vec![Box::new(verifier)])).unwrap();
    assert_eq!((verified.len(), unverified.len()), (1, 0));
}

/// The key as `<name>+<id>+<base64 of its type and bytes>`.
fn as_tools_take_it(key: &[u8; 32]) -> String {
    let typed = [&[1], key.as_slice()].concat();
    let name = origin(log_id());
    format!("{name}+{:08x}+{}", signed_note::key_id(&name, &typed), base64(&typed))
}

/// Base64 of a length that 3 divides.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    assert_eq!(bytes.len() % 3, 0);
    let digits = |three: &[u8]| {
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        [18, 12, 6, 0].map(|shift| char::from(DIGITS[(bits >> shift) as usize & 63]))
    };
    bytes.chunks(3).flat_map(digits).collect()
}

#[test]
fn a_signature_of_somebody_else_beside_it_says_nothing() {
    let other = SecretKey::from_seed(&[8; 32]);
    let twice = format!("{GOLDEN}{}", checkpoint().sign(&other).lines().last().unwrap()) + "\n";
    assert_eq!(opened(&twice), Ok(checkpoint()));
    let expected = origin(log_id());
    assert_eq!(opened(&checkpoint().sign(&other)), Err(CheckpointError::Unsigned { expected }));
}

#[test]
fn a_checkpoint_of_another_log_is_none_of_this_one() {
    let other: LogId = "0197f3a0-0000-7000-8000-0000000000a2".parse().unwrap();
    let note = Checkpoint { log_id: other, ..checkpoint() }.sign(&key());
    let (expected, found) = (origin(log_id()), origin(other));
    assert_eq!(opened(&note), Err(CheckpointError::Unsigned { expected: expected.clone() }));
    let text = note.split_once("\n\n").unwrap().0.to_owned() + "\n";
    assert_eq!(opened(&signed(&text, &expected)), Err(CheckpointError::OtherLog { expected, found }));
}

#[test]
fn what_is_no_checkpoint_is_malformed_though_it_is_signed() {
    let name = origin(log_id());
    let root = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
    for text in [
        "hello\n".to_owned(),
        format!("{name}\n1\n"),
        format!("{name}\n01\n{root}\n"),
        format!("{name}\n-1\n{root}\n"),
        format!("{name}\n18446744073709551616\n{root}\n"),
        format!("{name}\n1\n{}\n", &root[4..]),
    ] {
        assert_eq!(opened(&signed(&text, &name)), Err(CheckpointError::Malformed), "{text}");
    }
    assert!(opened(&signed(&format!("{name}\n1\n{root}\n"), &name)).is_ok());
    for note in ["", "\n\n", &GOLDEN[..GOLDEN.len() - 1]] {
        assert_eq!(opened(note), Err(CheckpointError::Malformed), "{note}");
    }
}

#[test]
fn no_bit_of_a_checkpoint_can_be_flipped() {
    for index in 0..GOLDEN.len() * 8 {
        let mut bytes = GOLDEN.as_bytes().to_vec();
        bytes[index / 8] ^= 1 << (index % 8);
        let opened = Checkpoint::open(&bytes, log_id(), &key().public());
        assert!(opened.is_err(), "bit {index}: {opened:?}");
    }
}

#[test]
fn a_checkpoint_is_no_record_and_a_record_no_checkpoint() {
    use schema::desired::Desired;
    use schema::wire::WireRecord as _;
    let text = GOLDEN.split_once("\n\n").unwrap().0.to_owned() + "\n";
    assert!(Desired::read(text.as_bytes()).is_err());
    assert!(text.as_bytes()[0] < 0x80);
    let record = bytes(include_str!("../../schema/tests/golden/records/desired-empty.record.hex"));
    assert!(Desired::read(&record).is_ok() && matches!(record[0], 0x80..=0x8f | 0xde | 0xdf));
    assert_eq!(Checkpoint::open(&record, log_id(), &key().public()), Err(CheckpointError::Malformed));
}

fn bytes(hex: &str) -> Vec<u8> {
    let hex = hex.trim();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}
