//! The kinds that `get` shows, and the columns of each.

use super::table::{Column, ColumnStyle};

/// What can be shown, by the name of its list in a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ResourceKind {
    /// Pieces of configuration, with a path and a target.
    #[value(alias = "document")]
    Documents,
    /// Machines that run what is desired of them.
    #[value(alias = "node")]
    Nodes,
    /// People and programs with a token.
    #[value(alias = "principal")]
    Principals,
    /// Requirements that have to hold.
    #[value(alias = "control")]
    Controls,
    /// Parts of a system that implement controls.
    #[value(alias = "component")]
    Components,
    /// How controls are assessed.
    #[value(alias = "assessment")]
    Assessments,
    /// Checks that carry assessments out.
    #[value(alias = "attestation")]
    Attestations,
    /// The work of assessment runtimes.
    #[value(alias = "job")]
    Jobs,
    /// Files that nodes propose for themselves.
    #[value(alias = "proposal")]
    Proposals,
    /// What covers each control.
    Coverage,
    /// Nodes by state.
    Fleet,
    /// The state of the log itself.
    Log,
}

impl ResourceKind {
    /// The name in a URL.
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

    /// Whether it is a list.
    pub(super) fn is_list(self) -> bool {
        !matches!(self, Self::Fleet | Self::Log)
    }

    /// The columns of its table.
    pub(crate) fn columns(self) -> &'static [Column] {
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
            // These are never shown as a table.
            Self::Fleet | Self::Log => &[],
        }
    }
}

const fn text(head: &'static str, places: &'static [&'static str]) -> Column {
    Column { head, places, style: ColumnStyle::Whole }
}

/// Text that is cut if the terminal is too narrow.
const fn long(head: &'static str, places: &'static [&'static str]) -> Column {
    Column { head, places, style: ColumnStyle::Long }
}

const fn number(head: &'static str, places: &'static [&'static str]) -> Column {
    Column { head, places, style: ColumnStyle::Number }
}

const fn digest(head: &'static str, places: &'static [&'static str]) -> Column {
    Column { head, places, style: ColumnStyle::Digest }
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
const NODES: [Column; 10] = [
    ID,
    text("STATE", &["/state"]),
    Column { head: "HEARD", places: &["/silence_ms"], style: ColumnStyle::Ago },
    number("POSITION", &["/desired/position"]),
    digest("DESIRED", &["/desired/digest"]),
    digest("RUNNING", &["/running/digest"]),
    text("RETIRED", &["/retired"]),
    text("ACCESS", &["/access"]),
    long("LABELS", &["/labels"]),
    Column { head: "REASON", places: &["/reason"], style: ColumnStyle::Reason },
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
const PROPOSALS: [Column; 8] = [
    ID,
    text("NODE", &["/node"]),
    text("STATE", &["/state"]),
    text("CODE", &["/code"]),
    text("STALE", &["/stale"]),
    POSITION,
    long("PATH", &["/path"]),
    long("REASON", &["/reason"]),
];
const COVERAGE: [Column; 6] = [
    text("CONTROL", &["/control"]),
    text("COVERED", &["/covered"]),
    number("JOBS", &["/jobs"]),
    long("COMPONENTS", &["/components"]),
    long("ASSESSMENTS", &["/assessments"]),
    long("CLAIMS", &["/claims"]),
];
