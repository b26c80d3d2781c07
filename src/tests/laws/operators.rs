//! Laws of what operators read: pages, alert rules and the dashboard name metrics that exist, each alert has its section of the
//! runbook, and each fault of `FAULTS.md` names one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Command;

use schema::address::{APP_ROLE, READER_ROLE, RELAY_ROLE};
use schema::convergence::ConvergenceState;
use serde_json::Value;
use testkit::programs::checkout;
use testkit::skipped::did_not_run;

use crate::docker::yaml;

const RUNBOOK: &str = "docs/how-to/runbook.md";
const RULES: &str = "docker/observe/alerts.yml";

/// What begins with `headwater_` in a page and is no metric: the roles, a crate in a filter of log lines, and the beginning of slots' names.
const NO_METRICS: [&str; 5] = [APP_ROLE, RELAY_ROLE, READER_ROLE, "headwater_server", "headwater_"];

/// How a metric is written: its type, and its labels.
type Shape = (String, BTreeSet<String>);

fn text(path: &str) -> String {
    fs::read_to_string(checkout().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every registered metric as a scrape shows it, once each of those with labels has a value.
fn registered() -> BTreeMap<String, Shape> {
    metrics::connection_made("nats");
    metrics::attempt_failed("relay");
    metrics::request_answered("/v1/log", 200);
    metrics::request_refused("not_ready");
    metrics::nodes_counted("converged", 1);
    metrics::rollouts_counted("halted", 1);
    metrics::certificate_expires("http", 1);
    metrics::connection_judged("admitted");
    metrics::report_ignored("other_node");
    metrics::proposal_ignored("other_node");
    metrics::proposal_refused("not_open");
    let text = metrics::open_metrics_text();
    let mut found: BTreeMap<String, Shape> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')) {
            let suffix = match kind {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            current = format!("{name}{suffix}");
            found.insert(current.clone(), (kind.to_owned(), BTreeSet::from(["no sample".to_owned()])));
        } else if !line.starts_with('#') {
            let labels = line.split_once('{').map_or("", |(_, rest)| rest.rsplit_once('}').unwrap().0);
            let names = labels.split("\",").filter_map(|label| label.split_once('=')).map(|(name, _)| name.to_owned());
            found.get_mut(&current).unwrap().1 = names.filter(|name| name != "le").collect();
        }
    }
    found
}

/// The cells of the table lines of a page that begin with `first`.
fn table_rows(page: &str, first: &str) -> Vec<Vec<String>> {
    let rows = page.lines().filter(|line| line.starts_with(first));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

#[test]
fn every_metric_is_described_as_it_is_and_no_other() {
    let page = text("docs/reference/metrics.md");
    let rows = table_rows(&page, "| `headwater_");
    let plain = |cell: &str| cell.trim_matches(['`', ' ']).to_owned();
    let described: BTreeMap<String, Shape> = rows
        .iter()
        .map(|row| {
            let [name, kind, labels, meaning] = row.as_slice() else { panic!("four cells: {row:?}") };
            assert!(meaning.len() > 10, "{name} says what it means");
            let labels = labels.split(',').map(plain).filter(|label| !label.is_empty()).collect();
            (plain(name), (kind.clone(), labels))
        })
        .collect();
    assert_eq!(described, registered());
    assert_eq!(described.len(), rows.len(), "each once");
}

/// The Markdown files of the checkout that are for people who run it, and what Prometheus and Grafana read.
fn operators_files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        ["README.md", "FAULTS.md", "docker/README.md"].iter().map(|file| checkout().join(file)).collect();
    let mut folders = vec![checkout().join("docs"), checkout().join("docker/observe")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
            match path.is_dir() {
                true => folders.push(path),
                false if ["md", "yml", "json"].contains(&kind) => files.push(path),
                false => {}
            }
        }
    }
    files
}

/// The words of a text that begin with `headwater_` and are not the end of a longer one.
fn names_in(text: &str) -> BTreeSet<&str> {
    let is_word = |character: char| character.is_ascii_alphanumeric() || character == '_';
    text.split(|character| !is_word(character)).filter(|word| word.starts_with("headwater_")).collect()
}

#[test]
fn pages_rules_and_the_dashboard_name_only_metrics_that_exist() {
    let mut known: BTreeSet<String> = NO_METRICS.iter().map(|name| (*name).to_owned()).collect();
    for (name, (kind, _)) in registered() {
        if kind == "histogram" {
            known.extend(["_bucket", "_sum", "_count"].map(|suffix| format!("{name}{suffix}")));
        }
        known.insert(name);
    }
    let mut named = BTreeSet::new();
    for path in operators_files() {
        let text = fs::read_to_string(&path).unwrap();
        for name in names_in(&text) {
            assert!(known.contains(name), "{} names {name}, which is no metric", path.display());
            named.insert(name.to_owned());
        }
    }
    assert!(named.len() > NO_METRICS.len() + 20, "they are read: {named:?}");
    let dashboard: Value = serde_json::from_str(&text("docker/observe/dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let asked: Vec<&str> = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().into_iter().flatten())
        .map(|target| target["expr"].as_str().unwrap())
        .collect();
    assert!(asked.len() > 20 && asked.iter().all(|expr| !names_in(expr).is_empty()), "{asked:?}");
}

/// The rules by the name of their alert.
fn rules() -> BTreeMap<String, Value> {
    let groups = yaml::read(&text(RULES));
    let rules = groups["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
    let named: Vec<(String, Value)> =
        rules.map(|rule| (rule["alert"].as_str().unwrap().to_owned(), rule.clone())).collect();
    let count = named.len();
    let rules = BTreeMap::from_iter(named);
    assert_eq!(rules.len(), count, "each name once");
    rules
}

/// The anchors that a forge makes of a page's headings.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = page
        .lines()
        .filter_map(|line| line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')));
    let slug = |heading: &str| -> String {
        let kept = heading.to_lowercase();
        let kept = kept.chars().filter(|character| character.is_alphanumeric() || " -_".contains(*character));
        kept.map(|character| if character == ' ' { '-' } else { character }).collect()
    };
    headings.map(slug).collect()
}

#[test]
fn every_alert_has_its_section_of_the_runbook() {
    let runbook = text(RUNBOOK);
    let (anchors, cases) = (anchors(&runbook), text("docker/observe/alerts.test.yml"));
    let sections: BTreeMap<&str, &str> = runbook
        .split("\n## ")
        .flat_map(|part| part.split("\n### ").skip(1))
        .filter_map(|section| section.split_once('\n'))
        .collect();
    let rules = rules();
    for (alert, rule) in &rules {
        let url = rule["annotations"]["runbook_url"].as_str().unwrap();
        let anchor = url.strip_prefix(RUNBOOK).and_then(|rest| rest.strip_prefix('#')).unwrap();
        assert!(anchors.contains(anchor) && anchor == alert.to_lowercase(), "{alert}: {url}");
        let section = sections[alert.as_str()];
        for word in ["**Sign.**", "**Means.**", "**Do.**", "**Over**"] {
            assert!(section.contains(word), "{alert} says {word}");
        }
        assert!(["critical", "warning", "info"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{alert}");
        assert!(rule["annotations"]["summary"].as_str().is_some_and(|summary| summary.len() > 20), "{alert}");
        assert!(cases.contains(&format!(r#"alertname="{alert}""#)), "{alert} is raised by a case");
    }
    let described: BTreeSet<&str> = sections.keys().filter(|name| name.starts_with("Headwater")).copied().collect();
    assert_eq!(described, rules.keys().map(String::as_str).collect(), "no section is about an alert that is gone");
}

/// The values that a rule or panel selects of one label.
fn selected(text: &str, label: &str) -> BTreeSet<String> {
    let (is, is_not) = (format!("{label}="), format!("{label}!~"));
    let parts = text.split(&is).skip(1).chain(text.split(&is_not).skip(1));
    let quoted = parts.filter_map(|part| part.trim_start_matches('~').strip_prefix('"')?.split_once('"'));
    quoted.flat_map(|(values, _)| values.split('|').map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn rules_select_states_and_codes_that_exist() {
    let states: BTreeSet<&str> = ConvergenceState::ALL.iter().map(|state| state.name()).collect();
    let codes = text("src/api/error_code.rs");
    let (mut used_states, mut used_codes) = (BTreeSet::new(), BTreeSet::new());
    for rule in rules().values() {
        let expr = rule["expr"].as_str().unwrap();
        used_states.extend(selected(expr, "state"));
        used_codes.extend(selected(expr, "code"));
    }
    assert!(
        used_states.len() > 5 && used_states.iter().all(|state| states.contains(state.as_str())),
        "{used_states:?}"
    );
    assert!(used_codes.len() > 3, "{used_codes:?}");
    assert!(used_codes.iter().all(|code| codes.contains(&format!(r#""{code}";"#))), "{used_codes:?}");
}

#[test]
fn every_fault_has_its_section_of_the_runbook() {
    let fault = |row: Vec<String>| row[0].clone();
    let is_fault = |row: &Vec<String>| row[0] != "fault" && !row[0].starts_with("---");
    let faults: Vec<String> = table_rows(&text("FAULTS.md"), "|").into_iter().filter(is_fault).map(fault).collect();
    let runbook = text(RUNBOOK);
    let (_, table) = runbook.split_once("\n## Every fault").unwrap();
    let rows: Vec<Vec<String>> = table_rows(table, "|").into_iter().filter(is_fault).collect();
    for row in &rows {
        let [_, link] = row.as_slice() else { panic!("two cells: {row:?}") };
        let target = link.split_once("](").and_then(|(_, rest)| rest.strip_suffix(')')).expect(link);
        let (page, anchor) = target.split_once('#').unwrap_or((target, ""));
        let page = if page.is_empty() { "runbook.md" } else { page };
        let page = text(&format!("docs/how-to/{page}"));
        assert!(anchor.is_empty() || anchors(&page).contains(anchor), "{target}");
    }
    let covered: Vec<String> = rows.into_iter().map(fault).collect();
    assert!(faults.len() > 60);
    assert_eq!(covered, faults, "the runbook has the rows of FAULTS.md in their order");
}

/// Runs promtool in a copy of `docker/observe`, unless this machine has none.
fn promtool(test: &str, runs: &[&[&str]]) {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(checkout().join("docker/observe")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
    }
    // Whoever sets it up puts a token there.
    fs::write(dir.path().join("headwater.token"), "hw_secret").unwrap();
    for arguments in runs {
        match Command::new("promtool").args(*arguments).current_dir(dir.path()).output() {
            Ok(ran) => {
                let said = [ran.stdout, ran.stderr].concat();
                assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return did_not_run(test, "promtool is not on PATH (apt-get install prometheus)");
            }
            Err(error) => panic!("promtool: {error}"),
        }
    }
}

#[test]
fn prometheus_takes_the_rules_and_the_configuration() {
    let checks: [&[&str]; 2] = [&["check", "rules", "alerts.yml"], &["check", "config", "prometheus.yml"]];
    promtool("prometheus_takes_the_rules_and_the_configuration", &checks);
}

#[test]
fn a_sick_log_raises_every_alert_and_a_healthy_one_none() {
    promtool("a_sick_log_raises_every_alert_and_a_healthy_one_none", &[&["test", "rules", "alerts.test.yml"]]);
}
