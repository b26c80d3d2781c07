//! Every operation of the HTTP interface but that which serves its description. The router and the OpenAPI document follow from
//! this list.

use api::contents::AskedContents;
use api::error_code::ErrorCode;
use api::path::{
    BUNDLES, COMMANDS, COVERAGE, EVENTS, FLEET, FLEET_TABLE, HEALTH, JOIN_TOKENS, LOG, MARKS, METRICS,
    MISSING_CONTENTS, NODES, PRINCIPALS, PROPOSALS, READY, REVERTS, ROLLOUTS, WHOAMI,
};
use api::revert::RevertQuestion;
use schema::compliance::{AssessmentDefined, AttestationDefined, ComponentDefined, ControlDefined};
use schema::request::Request;

use crate::http::bundles;
use crate::http::commands;
use crate::http::compliance;
use crate::http::contents;
use crate::http::coverage;
use crate::http::diff;
use crate::http::documents;
use crate::http::events;
use crate::http::files;
use crate::http::fleet;
use crate::http::fleet_table;
use crate::http::health;
use crate::http::impact;
use crate::http::jobs;
use crate::http::join_tokens;
use crate::http::log;
use crate::http::log_times;
use crate::http::marks;
use crate::http::metrics;
use crate::http::nodes;
use crate::http::operation::{Operation, get, post};
use crate::http::principals;
use crate::http::proof;
use crate::http::proposals;
use crate::http::reverts;
use crate::http::rollouts;
use crate::http::search;
use crate::http::versions;
use crate::http::why;

/// The operations of every server, with and without the role `door`.
pub(super) fn monitoring() -> Vec<Operation> {
    vec![
        get(HEALTH, "get_liveness", "Whether the process answers", health::alive),
        get(READY, "get_readiness", "Whether the server can do its work, and if not, why", health::ready),
        get(METRICS, "get_metrics", "Figures of this server, for Prometheus", metrics::show),
    ]
}

/// All operations, in the order of the document.
pub(super) fn operations() -> Vec<Operation> {
    [monitoring(), this_interface(), commands_and_events(), configuration(), compliance(), explanations(), proofs()]
        .into_iter()
        .flatten()
        .collect()
}

fn this_interface() -> Vec<Operation> {
    vec![get(WHOAMI, "get_whoami", "Whose token the request carries, and what it may do", principals::whoami)]
}

fn commands_and_events() -> Vec<Operation> {
    vec![
        post(COMMANDS, "post_commands", "Append what commands ask for, together or not at all", commands::post)
            .takes(|generator| generator.subschema_for::<Request>())
            .decides_commands()
            .may_answer(commands::CODES),
        get(EVENTS, "list_events", "The events of the log, in pages or as a live stream", events::list)
            .may_answer([ErrorCode::Damaged, ErrorCode::TooManyStreams]),
        get(LOG, "get_log", "Which log this is, how far it has come, and whose signature to trust", log::show),
        get("/v1/log/times", "get_log_times", "When events were appended, at positions spread evenly", log_times::show),
    ]
}

fn configuration() -> Vec<Operation> {
    vec![
        get("/v1/documents", "list_documents", "Documents without their contents", documents::list),
        get("/v1/documents/{id}", "get_document", "A document without its content", documents::one),
        get("/v1/documents/{id}/content", "get_document_content", "The content of a document", documents::content),
        get(
            "/v1/documents/{id}/versions",
            "list_document_versions",
            "Every version of a document, also of one that was removed",
            versions::list,
        )
        .may_answer([ErrorCode::Damaged]),
        get(NODES, "list_nodes", "Nodes with their states", nodes::list),
        get("/v1/nodes/{id}", "get_node", "A node: what is desired of it, what it reports, its state", nodes::one),
        get("/v1/nodes/{id}/files/{*path}", "get_node_file", "A file exactly as the node gets it", files::one),
        get(PROPOSALS, "list_proposals", "What nodes propose, and what became of it", proposals::list),
        get(
            "/v1/proposals/{id}",
            "get_proposal",
            "A proposal with its file, the file that it changes, and the difference",
            proposals::one,
        )
        .may_answer([ErrorCode::Damaged]),
        get(FLEET, "get_fleet", "How many nodes are in which state", fleet::show),
        get(FLEET_TABLE, "get_fleet_table", "The whole fleet as columns, once or as a live stream", fleet_table::show)
            .may_answer([ErrorCode::TooManyStreams]),
        get("/v1/search", "search", "Entities of all kinds whose ids begin with a text", search::show),
        get(
            BUNDLES,
            "list_bundles",
            "Sets of documents, definitions and nodes that are managed together",
            bundles::list,
        ),
        get("/v1/bundles/{id}", "get_bundle", "A bundle with all that belongs to it", bundles::one),
        get(ROLLOUTS, "list_rollouts", "Rollouts, open and ended, with what they wait for", rollouts::list),
        get("/v1/rollouts/{id}", "get_rollout", "A rollout with its policy, its changes and its stages", rollouts::one),
        get(MARKS, "list_marks", "Names of positions of the log", marks::list),
        get("/v1/marks/{id}", "get_mark", "A name of a position of the log", marks::one),
        post(MISSING_CONTENTS, "post_missing_contents", "Which contents the log does not hold", contents::missing)
            .takes(|generator| generator.subschema_for::<AskedContents>())
            .may_answer(contents::CODES),
        post(
            REVERTS,
            "post_reverts",
            "The request that takes back what a request did, or what happened since",
            reverts::post,
        )
        .takes(|generator| generator.subschema_for::<RevertQuestion>())
        .may_answer(contents::CODES)
        .decides_commands()
        .may_answer(reverts::CODES),
        get(PRINCIPALS, "list_principals", "People and programs that have, or had, a token", principals::list),
        get("/v1/principals/{id}", "get_principal", "A person or program that has, or had, a token", principals::one),
        get(JOIN_TOKENS, "list_join_tokens", "Tokens with which nodes join, or could", join_tokens::list),
        get("/v1/join-tokens/{id}", "get_join_token", "A token with which nodes join, or could", join_tokens::one),
    ]
}

fn compliance() -> Vec<Operation> {
    vec![
        get("/v1/controls", "list_controls", "Controls", compliance::list::<ControlDefined>),
        get("/v1/controls/{id}", "get_control", "A control", compliance::one::<ControlDefined>),
        get("/v1/components", "list_components", "Components", compliance::list::<ComponentDefined>),
        get("/v1/components/{id}", "get_component", "A component", compliance::one::<ComponentDefined>),
        get("/v1/assessments", "list_assessments", "Assessments", compliance::list::<AssessmentDefined>),
        get("/v1/assessments/{id}", "get_assessment", "An assessment", compliance::one::<AssessmentDefined>),
        get("/v1/attestations", "list_attestations", "Attestations", compliance::list::<AttestationDefined>),
        get("/v1/attestations/{id}", "get_attestation", "An attestation", compliance::one::<AttestationDefined>),
        get("/v1/jobs", "list_jobs", "Jobs and who holds them", jobs::list),
        get("/v1/jobs/{id}", "get_job", "A job with its spec", jobs::one),
        get(COVERAGE, "get_coverage", "What covers each control, and which controls nothing covers", coverage::show),
    ]
}

fn explanations() -> Vec<Operation> {
    vec![
        get(
            "/v1/why/nodes/{id}/{*path}",
            "explain_file",
            "The events that a file of a node follows from, or that keep it away",
            why::file,
        ),
        get("/v1/why/jobs/{id}", "explain_job", "The events that a job follows from", why::job),
        get("/v1/impact/{command_id}", "get_impact", "What a request changed", impact::show),
        get("/v1/diff/fleet", "diff_fleet", "The nodes whose desired records differ between two states", diff::fleet),
        get("/v1/diff/nodes/{id}", "diff_node", "The files of a node that differ between two states", diff::node),
        get(
            "/v1/diff/nodes/{id}/files/{*path}",
            "diff_file",
            "What differs in a file of a node between two states",
            diff::file,
        )
        .may_answer([ErrorCode::ContentGone]),
        get(
            "/v1/diff/documents/{id}",
            "diff_document",
            "What differs in a document between two states",
            diff::document,
        )
        .may_answer([ErrorCode::ContentGone]),
    ]
}

fn proofs() -> Vec<Operation> {
    vec![
        get("/v1/log/checkpoint", "get_checkpoint", "What the log's key signed about its tree", proof::checkpoint)
            .may_answer(proof::CODES),
        get(
            "/v1/log/proof/inclusion/{position}",
            "prove_inclusion",
            "The proof that an event is in the log",
            proof::inclusion,
        )
        .may_answer(proof::CODES),
        get(
            "/v1/log/proof/consistency",
            "prove_consistency",
            "The proof that one tree is the beginning of another",
            proof::consistency,
        )
        .may_answer(proof::CODES),
    ]
}
