//! The link that signs a browser in; the console in a browser, and its modules by themselves: `src/console/tests/README.md` says what those
//! tests are. They are written in JavaScript, and run here so that the suite has all of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use testkit::programs::checkout;
use testkit::skipped::did_not_run;

use crate::running::{Dev, folder};
use crate::server::Server;

/// Where Debian's package has the browser; `HEADWATER_CONSOLE_CHROMIUM` names another one.
const CHROMIUM: &str = "/usr/bin/chromium";

/// What lets a node reject a bad file, as the laws expect it.
const REJECTS_TODO: &str = "! grep -rq TODO {}/files";

fn tests() -> PathBuf {
    checkout().join("src/console/tests")
}

/// Runs node in the folder of the tests, asserts that it ends well, and gives its output, which is shown, too.
fn passes(node: &mut Command) -> String {
    let ran = node.current_dir(tests()).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(ran.stdout).unwrap();
    print!("{said}");
    assert!(ran.status.success(), "{:?}: {}", ran.status, String::from_utf8_lossy(&ran.stderr));
    said
}

/// Whether a program starts at all.
fn is_there(program: impl AsRef<Path>) -> bool {
    let started = Command::new(program.as_ref()).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    started.is_ok_and(|status| status.success())
}

fn chromium() -> PathBuf {
    std::env::var_os("HEADWATER_CONSOLE_CHROMIUM").map_or_else(|| CHROMIUM.into(), PathBuf::from)
}

/// What keeps the tests in a browser from running here.
fn missing() -> Option<String> {
    let packages = tests().join("node_modules/playwright-core");
    [
        (is_there("node"), "node is not on PATH".to_owned()),
        (is_there(chromium()), format!("there is no browser at {}", chromium().display())),
        (packages.is_dir(), "src/console/tests/node_modules is missing".to_owned()),
    ]
    .into_iter()
    .find_map(|(is_there, why)| (!is_there).then(|| format!("{why} (scripts/setup.sh installs it)")))
}

#[test]
fn the_link_is_printed_for_a_token_that_the_server_knows() {
    let who = json!({"name": "otto", "role": "auditor", "log_id": "0198b0a2-0000-7000-8000-000000000000"});
    let server = Server::new(move |_, _, reply| reply.whole("200 OK", &who.to_string()));
    let link = format!("{}/console/#token=hw_secret", server.url);
    let (code, said, complained) = server.run(&["console"]);
    assert_eq!((code, complained.as_str()), (0, ""));
    assert!(said.contains(&format!("\n\n  {link}\n")) && said.contains("otto (auditor)"), "{said}");
    let (code, said, _) = server.run(&["console", "--json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, said), (0, json!({"link": link, "name": "otto", "role": "auditor"})));
    assert!(server.asked().iter().all(|asked| asked.starts_with("GET /v1/whoami")), "{:?}", server.asked());
    let problem = json!({"type": "about:blank", "title": "Unauthorized", "status": 401, "code": "invalid_token",
        "field": "Authorization", "detail": "the token is unknown or was revoked"});
    let refusing = Server::new(move |_, _, reply| reply.whole("401 Unauthorized", &problem.to_string()));
    let (code, said, complained) = refusing.run(&["console"]);
    assert_eq!((code, said.as_str()), (1, ""), "{complained}");
    assert!(complained.contains("invalid_token") && !complained.contains("hw_secret"), "{complained}");
}

#[test]
fn the_modules_of_the_console_do_by_themselves_what_they_say() {
    const NAME: &str = "the_modules_of_the_console_do_by_themselves_what_they_say";
    if !is_there("node") {
        return did_not_run(NAME, "node is not on PATH (scripts/setup.sh installs it)");
    }
    let files = fs::read_dir(tests().join("unit")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.to_string_lossy().ends_with(".test.mjs")).collect();
    files.sort();
    assert!(!files.is_empty(), "node would look for tests of its own");
    passes(Command::new("node").arg("--test").args(files));
}

#[test]
fn the_console_does_in_a_browser_what_it_says() {
    if let Some(why) = missing() {
        return did_not_run("the_console_does_in_a_browser_what_it_says", &why);
    }
    let dir = folder();
    let dev = Dev::start_with(dir.path(), 3, &["--check", REJECTS_TODO]);
    let screenshots = dir.path().join("screenshots");
    fs::create_dir(&screenshots).unwrap();
    let said = passes(
        Command::new("node")
            .arg("browser.mjs")
            .env("HEADWATER_CONSOLE_URL", &dev.json.http)
            .env("HEADWATER_CONSOLE_TOKEN", &dev.json.tokens.admin)
            .env("HEADWATER_CONSOLE_AUDITOR_TOKEN", &dev.json.tokens.auditor)
            .env("HEADWATER_CONSOLE_NODE_DIR", &dev.json.nodes[0].dir)
            .env("HEADWATER_CONSOLE_SCREENSHOTS", screenshots)
            .env("HEADWATER_CONSOLE_CHROMIUM", chromium()),
    );
    let skipped = said.lines().filter_map(|line| line.trim_start().strip_prefix("NOT RUN"));
    skipped.for_each(|law| did_not_run("a law of the console", law.trim()));
}
