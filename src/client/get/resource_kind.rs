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
    /// Documents, nodes and definitions that belong together.
    #[value(alias = "bundle")]
    Bundles,
    /// Changes that reach nodes stage by stage.
    #[value(alias = "rollout")]
    Rollouts,
    /// Positions of the log with a name.
    #[value(alias = "mark")]
    Marks,
    /// Files that nodes propose for themselves.
    #[value(alias = "proposal")]
    Proposals,
    /// What covers each control.
    Coverage,
    /// Nodes by state.
    Fleet,
    /// The state of the log itself.
    Log,
    /// A file exactly as a node gets it: NODE and PATH follow.
    File,
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
            Self::Bundles => "bundles",
            Self::Rollouts => "rollouts",
            Self::Marks => "marks",
            Self::Proposals => "proposals",
            Self::Coverage => "coverage",
            Self::Fleet => "fleet",
            Self::Log => "log",
            Self::File => "file",
        }
    }

    /// The name of one of the kind, as entities have it.
    pub(super) fn singular(self) -> &'static str {
        match self {
            Self::Coverage => "control",
            other => other.name().trim_end_matches('s'),
        }
    }

    /// Where an item says which one it is.
    pub(super) fn name_place(self) -> &'static str {
        match self {
            Self::Principals => "/name",
            Self::Coverage => "/control",
            _ => "/id",
        }
    }

    /// Whether its items have labels.
    pub(super) fn has_labels(self) -> bool {
        matches!(self, Self::Nodes | Self::Controls | Self::Components)
    }

    /// Whether its items have a state.
    pub(super) fn has_states(self) -> bool {
        matches!(self, Self::Nodes | Self::Proposals)
    }

    /// Whether its items can be members of a bundle.
    pub(super) fn has_bundles(self) -> bool {
        matches!(
            self,
            Self::Documents | Self::Nodes | Self::Controls | Self::Components | Self::Assessments | Self::Attestations
        )
    }

    /// The columns of its wide table that the narrow one does not have.
    pub(super) fn more_columns(self) -> &'static [Column] {
        match self {
            Self::Documents => &[BUNDLE, MODE, AT, AGE],
            Self::Nodes => &[VERSION, BUNDLE],
            Self::Controls | Self::Components | Self::Assessments | Self::Attestations => &[BUNDLE, AT, AGE],
            Self::Principals | Self::Bundles | Self::Marks => &[AGE],
            Self::Proposals | Self::Rollouts => &[AT, AGE],
            Self::Jobs | Self::Coverage | Self::Fleet | Self::Log | Self::File => &[],
        }
    }

    /// Whether it is a list.
    pub(super) fn is_list(self) -> bool {
        !matches!(self, Self::Fleet | Self::Log | Self::File)
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
            Self::Bundles => &BUNDLES,
            Self::Rollouts => &ROLLOUTS,
            Self::Marks => &MARKS,
            Self::Proposals => &PROPOSALS,
            Self::Coverage => &COVERAGE,
            // These are never shown as a table.
            Self::Fleet | Self::Log | Self::File => &[],
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
const BUNDLE: Column = text("BUNDLE", &["/bundle"]);
const MODE: Column = text("MODE", &["/mode"]);
const AT: Column = text("AT", &["/at"]);
const AGE: Column = Column { head: "AGE", places: &["/at"], style: ColumnStyle::Age };

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
const PRINCIPALS: [Column; 6] =
    [text("NAME", &["/name"]), text("ROLE", &["/role"]), text("REVOKED", &["/revoked"]), VERSION, POSITION, AT];
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
const BUNDLES: [Column; 7] = [
    ID,
    number("DOCUMENTS", &["/documents"]),
    number("NODES", &["/nodes"]),
    number("DEFINITIONS", &["/definitions"]),
    VERSION,
    POSITION,
    AT,
];
const ROLLOUTS: [Column; 9] = [
    ID,
    text("STATUS", &["/status"]),
    text("STAGE", &["/stage"]),
    number("RELEASED", &["/released"]),
    Column { head: "IN FLIGHT", places: &["/in_flight"], style: ColumnStyle::Number },
    number("CONFIRMED", &["/counts/confirmed"]),
    number("FAILED", &["/failed"]),
    POSITION,
    text("WAITS FOR", &["/waiting/for"]),
];
const MARKS: [Column; 5] = [ID, number("MARKED", &["/at_position"]), VERSION, POSITION, AT];
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
