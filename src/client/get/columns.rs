//! The kinds of things that the door shows, and the columns of each.

use super::table::{Column, Look};

/// A kind of thing, by the door's name of its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Pieces of configuration, with a path and a target.
    #[value(alias = "document")]
    Documents,
    /// Machines that run what is desired of them.
    #[value(alias = "node")]
    Nodes,
    /// Who may speak to the door.
    #[value(alias = "principal")]
    Principals,
    /// What has to hold.
    #[value(alias = "control")]
    Controls,
    /// What makes controls hold.
    #[value(alias = "component")]
    Components,
    /// How it is found out whether controls hold.
    #[value(alias = "assessment")]
    Assessments,
    /// What finds it out.
    #[value(alias = "attestation")]
    Attestations,
    /// What assessment runtimes do.
    #[value(alias = "job")]
    Jobs,
    /// What nodes would like to change.
    #[value(alias = "proposal")]
    Proposals,
    /// For each control, what covers it.
    Coverage,
    /// Nodes by state.
    Fleet,
    /// The log itself.
    Log,
}

impl Kind {
    /// Its name in a URL.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Documents => "documents",
            Self::Nodes => "nodes",
            Self::Principals => "principals",
            Self::Controls => "controls",
            Self::Components => "components",
            Self::Assessments => "assessments",
            Self::Attestations => "attestations",
            Self::Jobs => "jobs",
            Self::Proposals => "proposals",
            Self::Coverage => "coverage",
            Self::Fleet => "fleet",
            Self::Log => "log",
        }
    }

    /// Whether there are many of it, rather than one.
    pub(super) fn is_list(self) -> bool {
        !matches!(self, Self::Fleet | Self::Log)
    }

    /// What a table shows of each: where several places are named, the first that is there.
    pub(super) fn columns(self) -> &'static [Column] {
        match self {
            Self::Documents => &DOCUMENTS,
            Self::Nodes => &NODES,
            Self::Principals => &PRINCIPALS,
            Self::Controls => &CONTROLS,
            Self::Components => &COMPONENTS,
            Self::Assessments => &ASSESSMENTS,
            Self::Attestations => &ATTESTATIONS,
            Self::Jobs => &JOBS,
            Self::Proposals => &PROPOSALS,
            Self::Coverage => &COVERAGE,
            // There is one of each, which is never a table.
            Self::Fleet | Self::Log => &[],
        }
    }
}

const fn text(head: &'static str, places: &'static [&'static str]) -> Column {
    Column { head, places, look: Look::Whole }
}

/// Text that may be cut where a terminal is narrow.
const fn long(head: &'static str, places: &'static [&'static str]) -> Column {
    Column { head, places, look: Look::Long }
}

const fn number(head: &'static str, places: &'static [&'static str]) -> Column {
    Column { head, places, look: Look::Number }
}

const fn digest(head: &'static str, places: &'static [&'static str]) -> Column {
    Column { head, places, look: Look::Digest }
}

const ID: Column = text("ID", &["/id"]);
const VERSION: Column = number("VERSION", &["/version"]);
const POSITION: Column = number("POSITION", &["/position"]);
const TITLE: Column = long("TITLE", &["/title"]);

const DOCUMENTS: [Column; 8] = [
    ID,
    long("PATH", &["/path"]),
    long("TARGET", &["/target"]),
    number("PRIORITY", &["/priority"]),
    number("SIZE", &["/size"]),
    digest("DIGEST", &["/digest"]),
    VERSION,
    POSITION,
];
const NODES: [Column; 9] = [
    ID,
    text("STATE", &["/state"]),
    Column { head: "HEARD", places: &["/silence_ms"], look: Look::Ago },
    number("POSITION", &["/desired/position"]),
    digest("DESIRED", &["/desired/digest"]),
    digest("RUNNING", &["/running/digest"]),
    text("RETIRED", &["/retired"]),
    long("LABELS", &["/labels"]),
    Column { head: "REASON", places: &["/reason"], look: Look::Reason },
];
const PRINCIPALS: [Column; 6] = [
    text("NAME", &["/name"]),
    text("ROLE", &["/role"]),
    text("REVOKED", &["/revoked"]),
    VERSION,
    POSITION,
    text("AT", &["/at"]),
];
const CONTROLS: [Column; 5] = [ID, long("CLASS", &["/class"]), VERSION, POSITION, TITLE];
const COMPONENTS: [Column; 6] =
    [ID, long("KIND", &["/kind"]), VERSION, POSITION, TITLE, long("CONTROLS", &["/controls"])];
const ASSESSMENTS: [Column; 7] = [
    ID,
    text("CONTROL", &["/control"]),
    text("SCHEDULE", &["/schedule"]),
    VERSION,
    POSITION,
    TITLE,
    long("COMPONENTS", &["/components", "/component_selector"]),
];
const ATTESTATIONS: [Column; 7] = [
    ID,
    long("ASSESSMENT", &["/assessment"]),
    long("PROVIDER", &["/provider/name"]),
    text("SCHEDULE", &["/schedule"]),
    VERSION,
    POSITION,
    TITLE,
];
const JOBS: [Column; 6] = [
    ID,
    text("RUNTIME", &["/claim/runtime"]),
    number("SINCE", &["/claim/position"]),
    number("WAITS", &["/waiting_since"]),
    digest("SPEC", &["/spec_digest"]),
    long("ATTESTATION", &["/attestation"]),
];
const PROPOSALS: [Column; 5] =
    [ID, text("NODE", &["/node"]), text("STATE", &["/state"]), POSITION, long("PATH", &["/path"])];
const COVERAGE: [Column; 6] = [
    text("CONTROL", &["/control"]),
    text("COVERED", &["/covered"]),
    number("JOBS", &["/jobs"]),
    long("COMPONENTS", &["/components"]),
    long("ASSESSMENTS", &["/assessments"]),
    long("CLAIMS", &["/claims"]),
];
