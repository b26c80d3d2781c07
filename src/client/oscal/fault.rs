//! Why a file can't be imported.

/// What is wrong with a file, and where in it.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It is not JSON, ends too early, or names a member of an object twice.
    #[error("at {path}: this is not readable JSON")]
    NotJson {
        /// How far it could be read.
        path: String,
        /// What is wrong, with line and column.
        source: serde_json::Error,
    },
    /// It is JSON, and none of the documents that can be imported.
    #[error("this is not an OSCAL catalog, component definition or assessment plan, but {found}")]
    NotOscal {
        /// What it is instead.
        found: String,
    },
    /// Something is of another type than OSCAL says.
    #[error("at {path}: expected {expected}, found {found}")]
    Shape {
        /// Where.
        path: String,
        /// What OSCAL says.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// Something is not there that OSCAL requires.
    #[error("at {path}: `{name}` is missing")]
    Missing {
        /// Of what.
        path: String,
        /// What.
        name: &'static str,
    },
    /// Something is there that no text of Headwater can hold.
    #[error("at {path}: {detail}")]
    Text {
        /// Where.
        path: String,
        /// Why not.
        detail: &'static str,
    },
    /// An id that can't be made one of Headwater's.
    #[error("at {path}: `{id}` can't be an id: {detail}")]
    Id {
        /// Where.
        path: String,
        /// The id.
        id: String,
        /// Why not.
        detail: String,
    },
    /// Two different things would have the same id.
    #[error("at {path}: {kind} `{id}` is defined before, at {first}, and not the same")]
    Clash {
        /// Where it is the second time.
        path: String,
        /// What sort of thing.
        kind: &'static str,
        /// The id that both would have.
        id: String,
        /// Where it was the first time, with its file if that is another.
        first: String,
    },
    /// A definition that is larger than an event may be.
    #[error("at {path}: {kind} `{id}` takes {bytes} bytes, more than an event may have")]
    TooLarge {
        /// Where.
        path: String,
        /// What sort of thing.
        kind: &'static str,
        /// Its id.
        id: String,
        /// How many.
        bytes: usize,
    },
}

impl Fault {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotJson { .. } => "not_json",
            Self::NotOscal { .. } => "not_oscal",
            Self::Shape { .. } => "wrong_shape",
            Self::Missing { .. } => "missing",
            Self::Text { .. } => "invalid_text",
            Self::Id { .. } => "invalid_id",
            Self::Clash { .. } => "id_clash",
            Self::TooLarge { .. } => "too_large",
        }
    }
}
