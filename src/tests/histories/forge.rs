//! Somebody who knows an export's format and not its key: takes a file apart, changes it, and puts it together so that every
//! length, checksum and digest is right again.

use replay::file::block::{BlockHead, BlockKind, Unpacker};
use replay::file::body::{Blob, BlockBuilder, ExportHeader, ExportRow, read_blobs, read_checkpoints, read_events};
use replay::file::{PREFIX_BYTES, prefix};
use schema::digest::Digest;
use schema::event::Event;

/// The columns of an event.
pub const COLUMNS: [&str; 14] = replay::file::body::COLUMNS;

/// An event with nothing read of it.
#[derive(Clone, Debug)]
pub struct Line {
    pub v: u16,
    pub position: u64,
    pub event_id: [u8; 16],
    pub command_id: [u8; 16],
    pub ordinal: u32,
    pub count: u32,
    pub version: u64,
    pub at: i64,
    pub leaf: [u8; 32],
    /// Entity, type, actor, reason, data.
    pub texts: [String; 5],
}

/// What a block holds.
#[derive(Clone, Debug)]
pub enum Body {
    Blobs(Vec<(Digest, Vec<u8>)>),
    Events(Vec<Line>),
    Checkpoints(Vec<String>),
}

/// A block, and where it stood.
#[derive(Clone, Debug)]
pub struct Block {
    pub body: Body,
    span: std::ops::Range<usize>,
}

/// A file in pieces.
#[derive(Clone, Debug)]
pub struct Export {
    pub header: ExportHeader,
    header_span: std::ops::Range<usize>,
    pub blocks: Vec<Block>,
}

/// An item of a block: which block, and which of its items.
pub type Item = (usize, usize);

/// Where each block begins, the header's and the last one included.
pub fn offsets(bytes: &[u8]) -> Vec<usize> {
    spans(bytes).iter().map(|(_, span)| span.start).collect()
}

fn spans(bytes: &[u8]) -> Vec<(BlockHead, std::ops::Range<usize>)> {
    let (mut offset, mut spans) = (PREFIX_BYTES, Vec::new());
    while offset < bytes.len() {
        let head = BlockHead::read(bytes[offset..offset + BlockHead::BYTES].try_into().unwrap()).unwrap();
        let end = offset + BlockHead::BYTES + head.stored;
        spans.push((head, offset..end));
        offset = end;
    }
    spans
}

impl Export {
    pub fn read(bytes: &[u8]) -> Self {
        let mut spans = spans(bytes).into_iter();
        let raw = |head: BlockHead, span: &std::ops::Range<usize>| {
            Unpacker::default().unpack(head, &bytes[span.start + BlockHead::BYTES..span.end]).unwrap()
        };
        let (head, header_span) = spans.next().unwrap();
        let header = ExportHeader::read(&raw(head, &header_span)).unwrap();
        let blocks = spans.filter(|(head, _)| head.kind != BlockKind::End);
        let blocks =
            blocks.map(|(head, span)| Block { body: Body::read(head.kind, &raw(head, &span)), span }).collect();
        Self { header, header_span, blocks }
    }

    /// The blocks as they were stored, in the order that they have now, with the digest of before.
    pub fn stored(&self, bytes: &[u8]) -> Vec<u8> {
        let mut file = bytes[..self.header_span.end].to_vec();
        self.blocks.iter().for_each(|block| file.extend_from_slice(&bytes[block.span.clone()]));
        file.extend_from_slice(&bytes[bytes.len() - Digest::BYTES - BlockHead::BYTES..]);
        file
    }

    /// A file of what there is now, with everything that needs no key made right.
    pub fn forged(&self) -> Vec<u8> {
        let mut file = prefix().to_vec();
        write(BlockKind::Header, &self.header.write(), &mut file);
        for block in &self.blocks {
            if let Some((kind, raw)) = block.body.raw() {
                write(kind, &raw, &mut file);
            }
        }
        file.extend_from_slice(&[BlockKind::End.number(), 0, 0, 0, 32, 0, 0, 0, 32]);
        let digest = Digest::of(&file);
        file.extend_from_slice(digest.as_bytes());
        file
    }

    fn items(&self, length: impl Fn(&Body) -> usize) -> Vec<Item> {
        let blocks = self.blocks.iter().enumerate();
        blocks.flat_map(|(block, of)| (0..length(&of.body)).map(move |item| (block, item))).collect()
    }

    pub fn rows(&self) -> Vec<Item> {
        self.items(|body| if let Body::Events(lines) = body { lines.len() } else { 0 })
    }

    pub fn blobs(&self) -> Vec<Item> {
        self.items(|body| if let Body::Blobs(blobs) = body { blobs.len() } else { 0 })
    }

    pub fn notes(&self) -> Vec<Item> {
        self.items(|body| if let Body::Checkpoints(notes) = body { notes.len() } else { 0 })
    }

    pub fn row(&mut self, (block, item): Item) -> &mut Line {
        let Body::Events(lines) = &mut self.blocks[block].body else { panic!("no events") };
        &mut lines[item]
    }

    pub fn blob(&mut self, (block, item): Item) -> (&mut Digest, &mut Vec<u8>) {
        let Body::Blobs(blobs) = &mut self.blocks[block].body else { panic!("no blobs") };
        let (digest, bytes) = &mut blobs[item];
        (digest, bytes)
    }

    pub fn note(&mut self, (block, item): Item) -> &mut String {
        let Body::Checkpoints(notes) = &mut self.blocks[block].body else { panic!("no checkpoints") };
        &mut notes[item]
    }

    pub fn take(&mut self, (block, item): Item) {
        match &mut self.blocks[block].body {
            Body::Blobs(blobs) => drop(blobs.remove(item)),
            Body::Events(lines) => drop(lines.remove(item)),
            Body::Checkpoints(notes) => drop(notes.remove(item)),
        }
    }

    pub fn repeat(&mut self, (block, item): Item) {
        match &mut self.blocks[block].body {
            Body::Blobs(blobs) => blobs.insert(item, blobs[item].clone()),
            Body::Events(lines) => lines.insert(item, lines[item].clone()),
            Body::Checkpoints(notes) => notes.insert(item, notes[item].clone()),
        }
    }

    pub fn exchange(&mut self, first: Item, second: Item) {
        match &self.blocks[first.0].body {
            Body::Events(_) => {
                let (one, other) = (self.row(first).clone(), self.row(second).clone());
                (*self.row(first), *self.row(second)) = (other, one.clone());
                *self.row(second) = one;
            }
            Body::Checkpoints(_) => {
                let (one, other) = (self.note(first).clone(), self.note(second).clone());
                *self.note(first) = other;
                *self.note(second) = one;
            }
            Body::Blobs(_) => panic!("the order of contents says nothing"),
        }
    }

    /// Changes one column of an event, and says which position it stands at.
    pub fn change(&mut self, item: Item, column: &str) -> u64 {
        let line = self.row(item);
        let position = line.position;
        match column {
            "v" => line.v += 1,
            "position" => line.position += 1,
            "event_id" => line.event_id[3] ^= 1,
            "command_id" => line.command_id[15] ^= 0x80,
            "ordinal" => line.ordinal += 1,
            "count" => line.count += 1,
            "entity" => line.texts[0].push('x'),
            "version" => line.version += 1,
            "type" => line.texts[1].push('x'),
            "actor" => line.texts[2] = if line.texts[2] == "ann" { "eve".into() } else { "ann".into() },
            "reason" => line.texts[3].push(' '),
            "at" => line.at += 1,
            "data" => line.texts[4].push(' '),
            "leaf" => line.leaf[31] ^= 1,
            other => panic!("{other} is no column"),
        }
        position
    }

    /// Seals an event as it is now, if it is one.
    pub fn seal(&mut self, item: Item) {
        let log_id = self.header.log_id;
        let line = self.row(item);
        if let Ok(event) = line.row().event(log_id) {
            line.leaf = *Event::sealed(event).leaf.as_bytes();
        }
    }
}

impl Block {
    /// The position of its first event.
    pub fn first_position(&self) -> u64 {
        let Body::Events(lines) = &self.body else { panic!("no events") };
        lines[0].position
    }
}

impl Body {
    fn read(kind: BlockKind, raw: &[u8]) -> Self {
        match kind {
            BlockKind::Blobs => {
                Self::Blobs(read_blobs(raw).unwrap().iter().map(|blob| (blob.digest, blob.bytes.to_vec())).collect())
            }
            BlockKind::Events => Self::Events(read_events(raw).unwrap().iter().map(Line::of).collect()),
            BlockKind::Checkpoints => {
                Self::Checkpoints(read_checkpoints(raw).unwrap().into_iter().map(String::from).collect())
            }
            other => panic!("{other:?}"),
        }
    }

    fn raw(&self) -> Option<(BlockKind, Vec<u8>)> {
        let (kind, mut list) = match self {
            Self::Blobs(_) => (BlockKind::Blobs, BlockBuilder::blobs()),
            Self::Events(_) => (BlockKind::Events, BlockBuilder::events()),
            Self::Checkpoints(_) => (BlockKind::Checkpoints, BlockBuilder::checkpoints()),
        };
        match self {
            Self::Blobs(blobs) => {
                blobs.iter().for_each(|(digest, bytes)| list.push(&Blob { digest: *digest, bytes }));
            }
            Self::Events(lines) => lines.iter().for_each(|line| list.push(&line.row())),
            Self::Checkpoints(notes) => notes.iter().for_each(|note| list.push(note)),
        }
        list.take().map(|raw| (kind, raw))
    }
}

impl Line {
    fn of(row: &ExportRow<'_>) -> Self {
        let texts = [row.entity, row.event_type, row.actor, row.reason, row.data].map(String::from);
        let ExportRow { v, position, event_id, command_id, ordinal, count, version, at, leaf, .. } = *row;
        Self { v, position, event_id, command_id, ordinal, count, version, at, leaf, texts }
    }

    pub fn row(&self) -> ExportRow<'_> {
        let Self { v, position, event_id, command_id, ordinal, count, version, at, leaf, texts } = self;
        let [entity, event_type, actor, reason, data] = texts.each_ref().map(String::as_str);
        ExportRow {
            v: *v,
            position: *position,
            event_id: *event_id,
            command_id: *command_id,
            ordinal: *ordinal,
            count: *count,
            entity,
            version: *version,
            event_type,
            actor,
            reason,
            at: *at,
            data,
            leaf: *leaf,
        }
    }
}

/// A block, packed by whatever packs.
fn write(kind: BlockKind, raw: &[u8], file: &mut Vec<u8>) {
    use std::io::Write as _;
    let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(raw).unwrap();
    let stored = packer.finish().unwrap();
    file.push(kind.number());
    file.extend_from_slice(&u32::try_from(stored.len()).unwrap().to_be_bytes());
    file.extend_from_slice(&u32::try_from(raw.len()).unwrap().to_be_bytes());
    file.extend_from_slice(&stored);
}
