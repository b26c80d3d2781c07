//! The language of the scenario files: one line is one command in words.
//!
//! ```text
//! put_document ID PATH [priority=N] [size=N | content=TEXT] [media_type=TEXT] [expecting=N] for all
//!                                                                                  for nodes ID ID…
//!                                                                                  where LABEL=VALUE and LABEL in A,B
//!                                                                                    and LABEL not in A,B and has LABEL and lacks LABEL
//! enrol_node | label_node ID [LABEL=VALUE…]          remove_document | retire_node | retry_node ID
//! relabel_nodes [LABEL=VALUE…] [LABEL-…] for all     … for nodes ID ID…     … where, as above
//! create_principal NAME ROLE TOKEN                   revoke_principal NAME
//! define_control ID [title=TEXT]                     define_component ID [title=TEXT] [controls=ID,ID…] [LABEL=VALUE…]
//! define_assessment ID CONTROL for all               … of COMPONENT,COMPONENT…   … where, as above
//! define_attestation ID ASSESSMENT [where, as above] claim_jobs NODE LIMIT
//! remove_control | remove_component | …  ID          renew_claims NODE   release_jobs NODE [ATTESTATION…]
//! note_report NODE POSITION [BOOT.SEQ]               repeat N COMMAND, in which {} counts and {x*9} is nine x
//! enrol_node ID keys=SEED [LABEL=VALUE…]             set_node_keys NODE SEED   bar_node | dismiss_node NODE
//! create_join_token ID [node=NODE] [uses=N] [for_s=N] [LABEL=VALUE…]   join_node TOKEN NODE SEED   revoke_join_token ID
//! propose NODE NUMBER PATH [content=TEXT] [base=TEXT] [media_type=TEXT]              withdraw_proposal NODE NUMBER
//! put_document … rollout=ROLLOUT                     remove_document ID rollout=ROLLOUT
//! open_rollout ID [max_in_flight=N] [settle_s=N] [failures=N] [on_failure=abort] [absent=PERCENT]
//!     [canary=LABEL=VALUE [second=LABEL=VALUE] [up_to=N] [gate=approval]] [rest=approval]
//! start_rollout | pause_rollout | abort_rollout | complete_rollout ID
//! resume_rollout ID [failures=N]                     approve_stage ID STAGE
//! advance ID [heard=NODE,NODE…] [silent=NODE…] [measured=nothing]                    set_guard N | set_guard none
//! accept_proposal NODE NUMBER [priority=N] [anyway=true]                             reject_proposal NODE NUMBER REASON
//! ```
//!
//! A command goes through JSON, as it would over HTTP, so that what is refused there is refused here.

mod rollouts;

use std::collections::BTreeMap;

use schema::command::{Command, Content, JoinNode, Propose};
use schema::digest::Digest;
use schema::entity::Actor;
use schema::id::{JobId, ProposalId, ProposalUuid};
use schema::invalid::InputError;
use schema::node_keys::{KeyBytes, NodeKeys};
use schema::proposal::ProposalBase;
use schema::report::{RecordRef, ReportSummary, SentNumber};
use schema::request::{Request, RequestItem};
use schema::seal::SecretKey;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// The commands of one line, most often one.
pub fn asks(line: &str) -> Vec<Result<RequestItem, InputError>> {
    match line.strip_prefix("repeat ") {
        None => vec![ask(&spelt_out(line, 0))],
        Some(rest) => {
            let (count, line) = rest.split_once(' ').expect("repeat N COMMAND");
            (0..number(count)).map(|index| ask(&spelt_out(line, index))).collect()
        }
    }
}

/// The line with `{}` as a number and `{x*9}` as nine x.
fn spelt_out(line: &str, index: u64) -> String {
    let mut line = line.replace("{}", &format!("{index:04}"));
    while let Some((before, rest)) = line.split_once('{') {
        let (inside, after) = rest.split_once('}').expect("a brace is closed");
        let (text, times) = inside.split_once('*').expect("{x*9}");
        line = format!("{before}{}{after}", text.repeat(usize::try_from(number(times)).unwrap()));
    }
    line
}

fn ask(line: &str) -> Result<RequestItem, InputError> {
    let (command, target) = match (line.split_once(" for "), line.split_once(" where ")) {
        (Some((command, named)), _) => (command, Some(named_target(named))),
        (_, Some((command, selector))) => (command, Some(selector_target(selector))),
        (None, None) => (line, None),
    };
    let words: Vec<&str> = command.split_whitespace().collect();
    match words[..] {
        ["note_report", node, position] => return Ok(note_report(node, position, None)),
        ["note_report", node, position, sent] => return Ok(note_report(node, position, Some(sent))),
        ["dismiss_node", node] => return Ok(item(Command::DismissNode(node.parse().unwrap()))),
        ["join_node", token, node, seed] => return Ok(item(join_node(token, node, seed))),
        ["propose", node, number, path, ref named @ ..] => return propose(node, number, path, named),
        ["advance", rollout, ref seen @ ..] => return Ok(item(rollouts::advance(rollout, seen))),
        ["withdraw_proposal", node, number] => {
            return Ok(item(Command::WithdrawProposal(node.parse().unwrap(), uuid(number))));
        }
        _ => {}
    }
    let fields = fields(&words, target);
    let body = json!({ "commands": [fields] }).to_string();
    let read = Request::read(body.as_bytes()).map(|mut request| request.commands.remove(0));
    // Which command of its request it is, the caller knows.
    read.map_err(|refused| {
        let field = refused.field.trim_start_matches("commands[0]").trim_start_matches('.').into();
        InputError { field, ..refused }
    })
}

fn fields(words: &[&str], target: Option<Value>) -> Value {
    let (named, plain): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| word.contains('='));
    let mut named: Map<String, Value> = named
        .iter()
        .map(|word| word.split_once('=').unwrap())
        .map(|(name, value)| (name.into(), json!(value)))
        .collect();
    if let Some(command) = rollouts::steered(&plain, &named) {
        return command;
    }
    match plain[..] {
        ["define_control", id] => titled(json!({"type": "define_control", "id": id}), id, named),
        ["define_component", id] => component(id, named),
        ["define_assessment", id, control] => assessment(id, control, target),
        ["define_assessment", id, control, "of", components] => {
            let components: Vec<&str> = components.split(',').collect();
            assessment(id, control, Some(json!({ "components": components })))
        }
        ["define_attestation", id, assessment] => json!({
            "type": "define_attestation", "id": id, "assessment": assessment, "title": id,
            "provider": {"name": "probe"}, "runtime_selector": target.unwrap_or(json!({})),
        }),
        ["claim_jobs", runtime, limit] => json!({"type": "claim_jobs", "runtime": runtime, "limit": number(limit)}),
        ["renew_claims", runtime] => json!({"type": "renew_claims", "runtime": runtime}),
        ["release_jobs", runtime] => json!({"type": "release_jobs", "runtime": runtime}),
        ["release_jobs", runtime, ref attestations @ ..] => {
            let job = |id: &&str| JobId::derived(&id.parse().unwrap());
            json!({"type": "release_jobs", "runtime": runtime, "jobs": attestations.iter().map(job).collect::<Vec<_>>()})
        }
        ["put_document", id, path] => put_document(id, path, &named, target),
        ["enrol_node", id] if named.contains_key("keys") => {
            let seed = named.remove("keys").unwrap();
            json!({"type": "enrol_node", "id": id, "labels": named, "keys": keys(seed.as_str().unwrap())})
        }
        ["set_node_keys", id, seed] => json!({"type": "set_node_keys", "id": id, "keys": keys(seed)}),
        ["create_join_token", id] => join_token(id, named),
        ["relabel_nodes", ref unset @ ..] => {
            let unset: Vec<&str> = unset.iter().map(|word| word.strip_suffix('-').expect("LABEL-")).collect();
            json!({"type": "relabel_nodes", "target": target.unwrap_or(json!({})), "set": named, "unset": unset})
        }
        [kind @ ("enrol_node" | "label_node"), id] => json!({"type": kind, "id": id, "labels": named}),
        ["create_principal", name, role, token] => {
            let token_hash = Digest::of(token.as_bytes());
            json!({"type": "create_principal", "name": name, "role": role, "token_hash": token_hash})
        }
        ["accept_proposal", node, number] => {
            let mut command = json!({"type": "accept_proposal", "id": proposal(node, number)});
            for (name, value) in &named {
                command[name] = serde_json::from_str(value.as_str().unwrap()).unwrap();
            }
            command
        }
        ["reject_proposal", node, number, reason] => {
            json!({"type": "reject_proposal", "id": proposal(node, number), "reason": reason})
        }
        ["revoke_principal", name] => json!({"type": "revoke_principal", "name": name}),
        [kind, id] => match named.get("expecting") {
            Some(version) => json!({"type": kind, "id": id, "expected_version": number(version.as_str().unwrap())}),
            None => json!({"type": kind, "id": id}),
        },
        _ => panic!("not a command of this language: {words:?}"),
    }
}

/// With `title` and `expecting` where they are said.
fn titled(mut command: Value, id: &str, mut named: Map<String, Value>) -> Value {
    command["title"] = named.remove("title").unwrap_or(json!(id));
    if let Some(version) = named.remove("expecting") {
        command["expected_version"] = json!(number(version.as_str().unwrap()));
    }
    command["labels"] = Value::Object(named);
    command
}

fn component(id: &str, mut named: Map<String, Value>) -> Value {
    let controls = named.remove("controls");
    let controls: Vec<&str> =
        controls.as_ref().and_then(Value::as_str).map_or(Vec::new(), |list| list.split(',').collect());
    titled(json!({"type": "define_component", "id": id, "controls": controls}), id, named)
}

/// `target` holds `components`, or is a target whose every node stands for every component.
fn assessment(id: &str, control: &str, target: Option<Value>) -> Value {
    let target = target.expect("an assessment is of components, for all, or where");
    let mut command = json!({
        "type": "define_assessment", "id": id, "title": id, "control": control, "schedule": "0 * * * *",
    });
    match target.get("components") {
        Some(components) => command["components"] = components.clone(),
        None if target.get("all").is_some() => command["component_selector"] = json!({}),
        None => command["component_selector"] = target,
    }
    command
}

fn put_document(id: &str, path: &str, named: &Map<String, Value>, target: Option<Value>) -> Value {
    let text = |name: &str| named.get(name).and_then(Value::as_str);
    let content = match (text("size"), text("content")) {
        (Some(size), _) => "x".repeat(usize::try_from(number(size)).unwrap()),
        (None, content) => content.unwrap_or(id).to_string(),
    };
    let mut command = json!({
        "type": "put_document", "id": id, "path": path, "content": content, "target": target.unwrap_or(json!({})),
        "media_type": text("media_type").unwrap_or("text/plain"), "priority": 0,
    });
    if let Some(priority) = text("priority") {
        command["priority"] = json!(priority.parse::<i64>().unwrap());
    }
    if let Some(version) = text("expecting") {
        command["expected_version"] = json!(number(version));
    }
    if let Some(rollout) = text("rollout") {
        command["rollout"] = json!(rollout);
    }
    command
}

fn named_target(text: &str) -> Value {
    match text.split_whitespace().collect::<Vec<_>>()[..] {
        ["all"] => json!({"all": true}),
        ["nodes", ref nodes @ ..] => json!({ "nodes": nodes }),
        _ => panic!("for all | for nodes A B: {text}"),
    }
}

fn selector_target(text: &str) -> Value {
    let mut labels = Map::new();
    let mut expressions = Vec::new();
    for requirement in text.split(" and ") {
        let words: Vec<&str> = requirement.split_whitespace().collect();
        let values = |list: &str| list.split(',').map(String::from).collect::<Vec<_>>();
        match words[..] {
            ["has", key] => expressions.push(json!({"key": key, "operator": "Exists"})),
            ["lacks", key] => expressions.push(json!({"key": key, "operator": "DoesNotExist"})),
            [key, "in", list] => expressions.push(json!({"key": key, "operator": "In", "values": values(list)})),
            [key, "not", "in", list] => {
                expressions.push(json!({"key": key, "operator": "NotIn", "values": values(list)}));
            }
            [label] => {
                let (key, value) = label.split_once('=').expect("LABEL=VALUE");
                labels.insert(key.into(), json!(value));
            }
            _ => panic!("not a requirement: {requirement}"),
        }
    }
    match (labels.is_empty(), expressions.is_empty()) {
        (_, true) => json!({ "match_labels": labels }),
        (true, _) => json!({ "match_expressions": expressions }),
        _ => json!({"match_labels": labels, "match_expressions": expressions}),
    }
}

fn item(command: Command) -> RequestItem {
    RequestItem { command, expected_version: None }
}

/// The public keys that follow from a word.
fn keys(seed: &str) -> NodeKeys {
    let key = |name: &str| {
        let seed = Digest::of(format!("{seed} {name}").as_bytes());
        KeyBytes::from(&SecretKey::from_seed(seed.as_bytes()).public())
    };
    NodeKeys { bus: key("bus"), say: key("say") }
}

fn join_token(id: &str, mut named: Map<String, Value>) -> Value {
    let mut command = json!({"type": "create_join_token", "id": id, "key": keys(id).bus});
    for member in ["node", "uses", "for_s"] {
        if let Some(value) = named.remove(member) {
            command[member] = if member == "node" { value } else { json!(number(value.as_str().unwrap())) };
        }
    }
    command["labels"] = Value::Object(named);
    command
}

fn join_node(token: &str, node: &str, seed: &str) -> Command {
    Command::JoinNode(JoinNode { token: token.parse().unwrap(), node: node.parse().unwrap(), keys: keys(seed) })
}

fn note_report(node: &str, position: &str, sent: Option<&str>) -> RequestItem {
    let record_ref = RecordRef { position: number(position).into(), digest: Digest::of(position.as_bytes()) };
    let sent = sent.map(|sent| {
        let (boot_no, seq) = sent.split_once('.').expect("BOOT.SEQ");
        SentNumber { boot_no: number(boot_no), seq: number(seq) }
    });
    let summary = ReportSummary { running: Some(record_ref), sent, ..ReportSummary::default() };
    item(Command::NoteReport(node.parse().unwrap(), summary))
}

/// The actor that may give a command where the scenario names none.
pub fn actor_of(ask: &RequestItem) -> Actor {
    match &ask.command {
        Command::Propose(Propose { node, .. }) | Command::WithdrawProposal(node, _) => Actor::Node(node.clone()),
        _ => Actor::Install,
    }
}

fn propose(node: &str, number: &str, path: &str, named: &[&str]) -> Result<RequestItem, InputError> {
    let said: BTreeMap<&str, &str> = named.iter().map(|word| word.split_once('=').unwrap()).collect();
    let content = said.get("content").map_or_else(|| number.to_string(), |text| (*text).to_string());
    let base = said.get("base").map(|text| Digest::of(text.as_bytes()));
    let propose = Propose {
        node: node.parse()?,
        uuid: uuid(number),
        path: path.parse()?,
        media_type: said.get("media_type").unwrap_or(&"text/plain").parse()?,
        content: Content::new(content.into_bytes())?,
        base: ProposalBase { position: 1.into(), digest: base },
    };
    Ok(item(Command::Propose(propose.checked()?)))
}

fn proposal(node: &str, number: &str) -> ProposalId {
    ProposalId::derived(&node.parse().unwrap(), uuid(number))
}

fn uuid(text: &str) -> ProposalUuid {
    ProposalUuid::from(Uuid::from_u128(number(text).into()))
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("{text} is a number"))
}
