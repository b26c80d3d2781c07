//! The numbers on `docs/reference/limits.md` are those of the code.

use std::collections::BTreeMap;
use std::fs;

use schema::{limit, report};
use server::http::listener::ConnectionLimits;
use server::http::router::HttpLimits;

use super::holds;
use super::page::{self, Page, code};

const PAGE: &str = "docs/reference/limits.md";

/// A limit by its name in the code.
type Limits = BTreeMap<&'static str, u64>;

macro_rules! constants {
    ($module:ident: $($name:ident)*) => {
        [$((stringify!($name), u64::try_from($module::$name).unwrap())),*]
    };
}

fn of_requests() -> Limits {
    let limits = constants!(limit: COMMANDS_MAX EVENTS_MAX BODY_BYTES_MAX REASON_BYTES_MAX IDEMPOTENCY_KEY_BYTES_MAX ID_CHARS_MAX
        EVENT_DATA_BYTES_MAX CONTENT_BYTES_MAX PATH_BYTES_MAX MEDIA_TYPE_BYTES_MAX SCHEDULE_BYTES_MAX ENTRIES_MAX RECORD_BYTES_MAX
        INLINE_ENTRY_BYTES_MAX INLINE_RECORD_BYTES_MAX ENTRY_FRAME_BYTES_MAX ENTRY_OVERHEAD_BYTES_MAX VARIANT_NAME_BYTES_MAX
        SPEC_BYTES_MAX CLAIM_JOBS_MAX CLAIM_BYTES_MAX RELABEL_BYTES_MAX LEASE_S_MIN LEASE_S_MAX LEASE_S_DEFAULT OUTCOME_BYTES_MAX EVIDENCE_BYTES_MAX
        RPC_REQUEST_BYTES_MAX RPC_SPECS_BYTES_MAX JOIN_TOKEN_USES_MAX JOIN_TOKEN_S_MIN JOIN_TOKEN_S_MAX JOIN_TOKEN_S_DEFAULT
        PROPOSAL_BYTES_MAX PROPOSAL_MESSAGE_BYTES_MAX PROPOSALS_OPEN_MAX BUNDLE_MEMBERS_MAX BUNDLE_EVENT_ENTITIES_MAX ROLLOUT_STAGES_MAX
        ROLLOUT_CHANGES_MAX ROLLOUTS_OPEN_MAX IN_FLIGHT_MAX SETTLE_S_MIN SETTLE_S_MAX SETTLE_S_DEFAULT BAKE_S_MAX BAKE_S_DEFAULT);
    limits.into()
}

fn of_reports() -> Limits {
    constants!(report: REPORT_BYTES_MAX DRIFT_PATHS_MAX DRIFT_PATHS_KEPT DETAIL_BYTES_MAX REJECTED_MAX WARNINGS_MAX NAME_BYTES_MAX)
        .into()
}

fn of_lists() -> Limits {
    use api::page as list;
    constants!(list: ITEMS_DEFAULT ITEMS_MAX).into()
}

/// The limits that hold on every machine; how many costly questions run at once depends on its cores.
fn of_callers() -> Limits {
    let HttpLimits {
        requests,
        requests_each,
        streams,
        streams_each,
        bodies_kib,
        answers_kib,
        answers_each_kib,
        answer_wait,
        request_time,
        body_time,
        position_wait,
        questions: _,
        questions_each,
        question_wait,
    } = HttpLimits::default();
    let count = |count: usize| count as u64;
    [
        ("requests", count(requests)),
        ("requests_each", count(requests_each)),
        ("streams", count(streams)),
        ("streams_each", count(streams_each)),
        ("bodies_kib", count(bodies_kib) * 1024),
        ("answers_kib", count(answers_kib) * 1024),
        ("answers_each_kib", count(answers_each_kib) * 1024),
        ("answer_wait", answer_wait.as_secs()),
        ("request_time", request_time.as_secs()),
        ("body_time", body_time.as_secs()),
        ("position_wait", position_wait.as_secs()),
        ("questions_each", count(questions_each)),
        ("question_wait", question_wait.as_secs()),
    ]
    .into()
}

fn of_connections() -> Limits {
    let ConnectionLimits { authenticated, anonymous, handshake, first_header, header, stalled } =
        ConnectionLimits::default();
    [
        ("authenticated", authenticated as u64),
        ("anonymous", anonymous as u64),
        ("handshake", handshake.as_secs()),
        ("first_header", first_header.as_secs()),
        ("header", header.as_secs()),
        ("stalled", stalled.as_secs()),
    ]
    .into()
}

/// The number of a cell such as `8 MiB`, `1,000` or `30 s`.
fn number(cell: &str) -> Option<u64> {
    let (digits, unit) = cell.split_once(' ').unwrap_or((cell, ""));
    let factor = match unit {
        "" | "bytes" | "characters" | "s" => 1,
        "KiB" => 1024,
        "MiB" => 1024 * 1024,
        _ => return None,
    };
    digits.replace(',', "").parse::<u64>().ok().map(|number| number * factor)
}

/// The limits of the page by their names; what is no number is none.
fn documented() -> BTreeMap<String, Option<u64>> {
    let rows = Page::read(PAGE).rows_below("# Limits");
    let named = rows.iter().filter(|row| row.len() == 3);
    named.map(|row| (code(&row[2]).expect(&row[2]).to_owned(), number(&row[1]))).collect()
}

#[test]
fn every_limit_is_documented_with_its_number() {
    let real: Limits =
        [of_requests(), of_reports(), of_lists(), of_callers(), of_connections()].into_iter().flatten().collect();
    let mut documented = documented();
    assert_eq!(documented.remove("questions"), Some(None), "it depends on the machine");
    let wrong = real.iter().filter_map(|(name, number)| match documented.get(*name) {
        Some(Some(shown)) if shown == number => None,
        shown => Some(format!("{name} is {number}, and the page has {shown:?}")),
    });
    let strange = documented.keys().filter(|name| !real.contains_key(name.as_str())).map(|name| format!("no {name}"));
    holds("docs/reference/limits.md", &wrong.chain(strange).collect::<Vec<_>>());
}

/// A constant that is new in these files has to come to the page: the compiler does not tell.
#[test]
fn no_limit_is_forgotten() {
    let constants = |path: &str| {
        let text = fs::read_to_string(page::checkout(path)).unwrap();
        let names =
            text.lines().filter_map(|line| line.strip_prefix("pub const ")?.split(':').next().map(str::to_owned));
        names.collect::<Vec<_>>()
    };
    let of = |path: &str, known: &Limits| -> Vec<String> {
        let names = constants(path);
        assert!(!names.is_empty(), "{path}");
        names
            .into_iter()
            .filter(|name| !known.contains_key(name.as_str()))
            .map(|name| format!("{path}: {name}"))
            .collect()
    };
    let forgotten = [
        of("schema/src/limit.rs", &of_requests()),
        of("schema/src/report.rs", &of_reports()),
        of("src/api/page.rs", &of_lists()),
    ];
    holds("this test and docs/reference/limits.md have every limit", &forgotten.concat());
}
