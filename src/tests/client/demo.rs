//! `headwater demo` as a pipe sees it: what it says, and that its end says whether it came true.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

/// Runs the demo on a folder that PostgreSQL's account may enter, so that all of it goes with the folder.
fn demo(dir: &std::path::Path, arguments: &[&str]) -> Output {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o711)).unwrap();
    Command::new(env!("CARGO_BIN_EXE_headwater"))
        .arg("demo")
        .arg("--dir")
        .arg(dir.join("demo"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap()
}

#[test]
fn the_demo_ends_well_once_all_of_it_came_true() {
    let dir = tempfile::tempdir().unwrap();
    let output = demo(dir.path(), &[]);
    let said = String::from_utf8(output.stdout).unwrap();
    let complained = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}\n{complained}");
    assert_eq!(complained, "", "nothing went wrong on the way");
    assert!(!said.contains('\x1b'), "a pipe gets no control sequences: {said}");
    assert!(said.lines().filter(|line| !line.contains('/')).all(|line| line.chars().count() <= 80), "{said}");

    let steps: Vec<&str> =
        said.split("\n\n").filter(|step| step.starts_with(|first: char| first.is_ascii_digit())).collect();
    assert_eq!(steps.len(), 10, "{said}");
    let table = |step: usize| said.split(steps[step]).nth(1).unwrap().split("\n\n").nth(1).unwrap();
    let last = |step: usize, node: &str| table(step).lines().rfind(|row| row[2..].starts_with(node)).unwrap();
    for node in ["node-1", "node-2", "node-3"] {
        let row = last(1, node);
        assert!(row.starts_with('>') && row.contains("converged") && row.ends_with("ms"), "{row}");
    }
    assert!(last(2, "node-1").starts_with('>'), "the one of the label moved");
    assert!(last(2, "node-2").starts_with(' ') && last(2, "node-3").starts_with(' '), "the others did not");
    assert!(last(3, "node-2").contains("failed") && last(4, "node-2").contains("converged"), "{said}");
    assert!(said.contains("check_rejected") && said.contains("asks for 10850 V"), "{said}");
    assert!(
        said.contains("each attestation is a job: 4") && said.contains("4 were run, with the outcome passed"),
        "{said}"
    );
    assert!(said.contains("bias 1085 1200 - at most 1500"), "evidence is in the log: {said}");
    assert!(said.contains("accepted: node-1 runs the file that it proposed"), "{said}");
    let proposed = dir.path().join("demo/nodes/node-1/current/files/detector/calibration.json");
    assert!(fs::read_to_string(proposed).unwrap().contains("1.07"), "the node has it");
    assert!(said.contains("the log released them in this order: node-1, "), "{said}");
    assert!(said.contains("the check of node-1 said no, and no other node was released"), "{said}");
    assert!(said.contains("\nAll of it came true.") && !said.contains("NOT"), "{said}");
    let file = dir.path().join("demo/nodes/node-2/current/files/detector/high-voltage.json");
    assert!(fs::read_to_string(file).unwrap().contains("\"bias_v\": 1090"), "what was meant runs");
}

#[test]
fn a_demo_that_can_not_go_on_ends_badly_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let examples = dir.path().join("examples");
    fs::create_dir_all(examples.join("fleet")).unwrap();
    let no_documents = "kind: control\nid: c\ntitle: C\n";
    fs::write(examples.join("fleet/fleet.yaml"), no_documents).unwrap();
    let output = demo(dir.path(), &["--nodes", "2", "--examples", examples.to_str().unwrap()]);
    let complained = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{complained}");
    assert!(complained.contains("commands"), "{complained}");
    let running = fs::read_dir(dir.path().join("demo/run")).unwrap().count();
    assert_eq!(running, 0, "all that it started has ended");
}
