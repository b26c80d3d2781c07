//! `headwater completions` and `headwater man`: what they make is whole, always the same, and where it belongs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn run(arguments: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headwater"));
    command.args(arguments).envs(env.iter().copied()).stdin(Stdio::null()).output().unwrap()
}

fn said(arguments: &[&str], env: &[(&str, &str)]) -> String {
    let output = run(arguments, env);
    assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Whether this machine has the shell, and takes the script.
fn is_taken(shell: &str, script: &Path) -> Option<Output> {
    Command::new(shell).args(["-n".as_ref(), script.as_os_str()]).output().ok()
}

#[test]
fn completions_are_the_same_for_everybody_and_offer_every_command() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = said(&["completions", shell], &[]);
        let elsewhere = [("HEADWATER_URL", "http://site.example"), ("COLUMNS", "20"), ("LANG", "sv_SE.UTF-8")];
        assert_eq!(script, said(&["completions", shell], &elsewhere), "{shell}");
        for offered in ["serve", "wait", "completions", "accept-log", "min-position"] {
            assert!(script.contains(offered), "{shell} does not offer {offered}");
        }
        assert!(
            !script.contains("headwater-apply") && !script.contains("headwater__apply"),
            "{shell} offers what is reserved"
        );
        let path = dir.path().join(shell);
        fs::write(&path, &script).unwrap();
        if let Some(checked) = is_taken(shell, &path) {
            assert!(checked.status.success(), "{shell}: {checked:?}");
        }
    }
    // What the script offers in bash, which every machine of ours has.
    let script = format!(
        "source '{}'; COMP_WORDS=(headwater wa); COMP_CWORD=1; _headwater headwater wa headwater; echo \"${{COMPREPLY[@]}}\"; \
         COMP_WORDS=(headwater a); _headwater headwater a headwater; echo \"[${{COMPREPLY[@]}}]\"",
        dir.path().join("bash").display()
    );
    let offered = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!(
        String::from_utf8(offered.stdout).unwrap(),
        "wait\n[accept apply]\n",
        "{}",
        String::from_utf8_lossy(&offered.stderr)
    );
    assert_eq!(run(&["completions", "tcsh"], &[]).status.code(), Some(2));
    assert_eq!(run(&["completions"], &[]).status.code(), Some(2));
}

fn pages(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap())).collect()
}

#[test]
fn there_is_a_page_for_each_command_and_the_same_program_writes_the_same_pages() {
    let dir = tempfile::tempdir().unwrap();
    let write = |folder: &Path, env: &[(&str, &str)]| said(&["man", "--to", folder.to_str().unwrap()], env);
    let (first, second) = (dir.path().join("a/man1"), dir.path().join("b"));
    assert_eq!(write(&first, &[]), "");
    write(&second, &[("HEADWATER_URL", "http://site.example"), ("COLUMNS", "20")]);
    let written = pages(&first);
    assert_eq!(written, pages(&second));
    for name in
        ["headwater", "headwater-serve", "headwater-wait-nodes", "headwater-token-reset", "headwater-edge-status"]
    {
        let page = &written[&format!("{name}.1")];
        assert!(page.contains(&format!(".TH {name} 1  \"headwater ")), "{name}: {page}");
        assert!(page.contains("\n.SH SYNOPSIS\n"), "{name}");
    }
    assert!(
        written["headwater-get.1"].contains("HEADWATER\\_URL") || written["headwater-get.1"].contains("HEADWATER_URL")
    );
    assert!(!written.contains_key("headwater-help.1"), "{:?}", written.keys());

    // What is there is replaced as a whole, and nothing beside it is touched.
    fs::write(first.join("headwater.1"), "old").unwrap();
    fs::write(first.join("other.1"), "other").unwrap();
    write(&first, &[]);
    let again = pages(&first);
    assert_eq!((&again["headwater.1"], again["other.1"].as_str()), (&written["headwater.1"], "other"));
    assert_eq!(again.len(), written.len() + 1, "nothing else is left there");
}

#[test]
fn pages_go_into_a_folder_or_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "mine").unwrap();
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let refused = run(&["man", "--to", &path(&file)], &[]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains(&path(&file)));
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    let below = run(&["man", "--to", &path(&file.join("below"))], &[]);
    assert_eq!(below.status.code(), Some(3), "{below:?}");
    // A folder where a page belongs stays, and is named.
    let taken = dir.path().join("taken");
    fs::create_dir_all(taken.join("headwater.1")).unwrap();
    let refused = run(&["man", "--to", &path(&taken)], &[]);
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("headwater.1"));
    assert_eq!(run(&["man"], &[]).status.code(), Some(2));
}
