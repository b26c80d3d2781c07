//! What is wrong with a manifest, and where.

use std::fmt;
use std::sync::Arc;

/// A line and a column, both from 1; the column counts characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TextPlace {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// A place in a file, written `file:line:column`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ManifestPlace {
    /// The file as the user named it, or `-`.
    pub file: Arc<str>,
    /// Where in it.
    pub place: TextPlace,
}

impl fmt::Display for ManifestPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.place.line, self.place.column)
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ManifestFault {
    /// Where.
    pub at: ManifestPlace,
    /// The stable code.
    pub code: &'static str,
    /// What is wrong, and what to do, in a sentence.
    pub detail: String,
}

impl fmt::Display for ManifestFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.at, self.detail, self.code)
    }
}

/// The faults that were found in one file so far.
#[derive(Debug)]
pub(super) struct FaultList {
    file: Arc<str>,
    faults: Vec<ManifestFault>,
}

impl FaultList {
    pub(super) fn new(file: Arc<str>) -> Self {
        Self { file, faults: Vec::new() }
    }

    pub(super) fn place(&self, place: TextPlace) -> ManifestPlace {
        ManifestPlace { file: self.file.clone(), place }
    }

    pub(super) fn add(&mut self, place: TextPlace, code: &'static str, detail: impl Into<String>) {
        self.faults.push(ManifestFault { at: self.place(place), code, detail: detail.into() });
    }

    pub(super) fn count(&self) -> usize {
        self.faults.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    pub(super) fn into_faults(self) -> Vec<ManifestFault> {
        self.faults
    }
}
