//! What kind of thing is waited for, and the words for it.

/// A kind of thing that is waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum AwaitedKind {
    /// Nodes run what is desired of them.
    #[default]
    Node,
    /// The last run of a job was one of its spec as it is now, and passed.
    Job,
}

impl AwaitedKind {
    /// One of the kind.
    pub(super) fn singular(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Job => "job",
        }
    }

    /// Several of the kind, as JSON calls them, too.
    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Node => "nodes",
            Self::Job => "jobs",
        }
    }
}
