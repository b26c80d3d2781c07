//! Detector configurations in a Git folder, managed for two weeks by the client only: imported, changed for one site, compared, undone,
//! reverted, moved to a bundle of another name while every file is watched, pruned, retried, retired.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use testkit::programs::{self, checkout};
use testkit::skipped::did_not_run;

use crate::running::{Dev, folder};

#[test]
fn detectors_are_managed_for_two_weeks_by_the_client_only() {
    let test = "detectors_are_managed_for_two_weeks_by_the_client_only";
    let Some(data) = env::var_os("HEADWATER_TEST_DATA") else {
        return did_not_run(test, "HEADWATER_TEST_DATA names no folder");
    };
    if Command::new("git").arg("--version").output().is_err() {
        return did_not_run(test, "there is no git");
    }
    let dir = folder();
    let weeks = dir.path().join("weeks");
    fs::create_dir(&weeks).unwrap();
    // The checks of the agents look into it.
    fs::set_permissions(&weeks, fs::Permissions::from_mode(0o755)).unwrap();
    let check = format!("test ! -e {}", weeks.join("reject").display());
    let dev = Dev::start_with(&dir.path().join("dev"), 6, &["--check", &check]);
    let bin = programs::headwater().parent().unwrap().to_owned();
    let ended = Command::new("bash")
        .arg(checkout().join("src/tests/client/two_weeks.sh"))
        .args([weeks.as_path(), &dev.dir, &Path::new(&data).join("daq")])
        .env("PATH", format!("{}:{}", bin.display(), env::var("PATH").unwrap()))
        .env("HEADWATER_URL", &dev.json.http)
        .env("HEADWATER_TOKEN", &dev.json.tokens.admin)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{}\n{said}\n{}", ended.status, String::from_utf8_lossy(&ended.stderr));
    let watched = said.lines().filter(|line| line.starts_with("WATCH rename"));
    let still = watched.filter(|line| line.contains(" missing=0 changed=0 extra=0 switches_of_generation=0 "));
    assert_eq!(still.count(), 2, "{said}");
    println!("{}", &said[said.find("TASK").unwrap()..]);
}
