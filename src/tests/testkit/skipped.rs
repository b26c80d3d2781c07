//! What a test could not do on this machine, said where the end of `scripts/test.sh` finds it.

use std::fs::File;
use std::io::Write as _;

/// Names the file that gets a line for each test that did not run; without it the test's output says so.
const FILE: &str = "HEADWATER_TEST_NOT_RUN";

/// Says that a test did not run, and why.
pub fn did_not_run(test: &str, why: &str) {
    let line = format!("{test} did not run: {why}\n");
    print!("{line}");
    if let Some(path) = std::env::var_os(FILE) {
        // One write, so that the lines of tests that run at once stay whole.
        File::options().append(true).create(true).open(path).unwrap().write_all(line.as_bytes()).unwrap();
    }
}
