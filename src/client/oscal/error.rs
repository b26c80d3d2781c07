//! Why a file can't be imported.

/// What is wrong with a file, and at which JSON path.
#[derive(Debug, thiserror::Error)]
pub enum OscalError {
    /// The file is not JSON, ends too early, or has an object with two members of one name.
    #[error("at {path}: this is not readable JSON")]
    NotJson {
        /// Where reading stopped.
        path: String,
        /// The error, with line and column.
        source: serde_json::Error,
    },
    /// The file is JSON, but none of the documents that can be imported.
    #[error("this is not an OSCAL catalog, component definition or assessment plan, but {found}")]
    NotOscal {
        /// What it is instead.
        found: String,
    },
    /// A value has another type than OSCAL says.
    #[error("at {path}: expected {expected}, found {found}")]
    Shape {
        /// The JSON path.
        path: String,
        /// The type that OSCAL says.
        expected: &'static str,
        /// The type that it has.
        found: &'static str,
    },
    /// A member is missing that OSCAL requires.
    #[error("at {path}: `{name}` is missing")]
    Missing {
        /// The object.
        path: String,
        /// The member.
        name: &'static str,
    },
    /// A text has a character that texts in Headwater can't have.
    #[error("at {path}: {detail}")]
    Text {
        /// The JSON path.
        path: String,
        /// Why not.
        detail: &'static str,
    },
    /// An OSCAL id can't be turned into an id of Headwater.
    #[error("at {path}: `{id}` can't be an id: {detail}")]
    Id {
        /// The JSON path.
        path: String,
        /// The id.
        id: String,
        /// Why not.
        detail: String,
    },
    /// Two different definitions would have the same id.
    #[error("at {path}: {kind} `{id}` is defined before, at {first}, and not the same")]
    Clash {
        /// Where the second one is.
        path: String,
        /// The kind of definition.
        kind: &'static str,
        /// The id of both.
        id: String,
        /// Where the first one is, with its file if that is another.
        first: String,
    },
    /// A definition is larger than an event may be.
    #[error("at {path}: {kind} `{id}` takes {bytes} bytes, more than an event may have")]
    TooLarge {
        /// The JSON path.
        path: String,
        /// The kind of definition.
        kind: &'static str,
        /// Its id.
        id: String,
        /// Its size.
        bytes: usize,
    },
}

impl OscalError {
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
