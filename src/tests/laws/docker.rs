//! Laws of what is deployed, held without a container engine: the images, the composition and the units are read, and
//! what they start is started for real (`docker/stack.rs`).

mod image;
mod stack;
pub(crate) mod yaml;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use self::image::Dockerfile;
use serde_json::Value;

/// Words that name a secret in the name of a variable, a flag or a build argument.
const SECRETS: [&str; 5] = ["PASSWORD", "TOKEN", "SECRET", "CREDENTIAL", "KEY"];

fn checkout(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn text(path: &str) -> String {
    fs::read_to_string(checkout(path)).unwrap()
}

fn dockerfile() -> Dockerfile {
    Dockerfile::read(&text("docker/Dockerfile"))
}

fn compose() -> Value {
    yaml::read(&text("docker/compose.yml"))
}

fn services() -> BTreeMap<String, Value> {
    serde_json::from_value(compose()["services"].take()).unwrap()
}

/// The words of a list, or none if it is not there.
fn words(list: &Value) -> Vec<&str> {
    list.as_array().map(|items| items.iter().map(|item| item.as_str().unwrap()).collect()).unwrap_or_default()
}

fn names(mapping: &Value) -> Vec<&String> {
    mapping.as_object().map(|entries| entries.keys().collect()).unwrap_or_default()
}

fn environment(service: &Value) -> BTreeMap<String, String> {
    serde_json::from_value(service["environment"].clone()).unwrap_or_default()
}

/// The file of the checkout that a service sees at `target`.
fn mounted(compose: &Value, service: &str, target: &str) -> String {
    let configs = compose["services"][service]["configs"].as_array().unwrap();
    let config = configs.iter().find(|config| config["target"] == target).expect(target);
    format!("docker/{}", compose["configs"][config["source"].as_str().unwrap()]["file"].as_str().unwrap())
}

/// Whether an image says which one it is.
fn is_pinned(image: &str) -> bool {
    image.rsplit_once(':').is_some_and(|(_, tag)| !tag.is_empty() && !tag.starts_with("latest"))
}

/// What a program prints with `--help` behind these words, which keeps it from doing what they say.
fn help(program: &str, words: &[&str]) -> Output {
    let path = Path::new(env!("CARGO_BIN_EXE_headwater")).with_file_name(program);
    let ran = Command::new(&path).args(words).arg("--help").output();
    ran.unwrap_or_else(|error| panic!("{}: {error}; `cargo build` makes it", path.display()))
}

/// Whether a program takes these words.
fn is_taken(program: &str, words: &[&str]) -> bool {
    help(program, words).status.success()
}

#[test]
fn every_program_has_an_image() {
    let dockerfile = dockerfile();
    let mut targets = vec!["server", "edge"];
    if checkout("replay/src/main.rs").exists() {
        targets.push("replay");
    }
    for target in targets {
        assert!(dockerfile.stages().contains_key(target), "{target}");
        assert_eq!(dockerfile.last(target, "STOPSIGNAL").unwrap(), "SIGTERM", "{target}");
        let labels: Vec<_> = dockerfile.said(target).into_iter().filter(|(said, _)| said == "LABEL").collect();
        for label in ["title", "description", "licenses", "version", "revision"] {
            assert!(
                labels.iter().any(|(_, text)| text.contains(&format!("org.opencontainers.image.{label}="))),
                "{label}"
            );
        }
    }
    for (target, program) in [("server", "headwater"), ("edge", "headwater-edge")] {
        assert_eq!(dockerfile.last(target, "ENTRYPOINT").unwrap(), format!(r#"["/usr/local/bin/{program}"]"#));
        let command = dockerfile.last(target, "CMD").unwrap_or("[]".into());
        let command: Vec<String> = serde_json::from_str(&command).unwrap();
        assert!(is_taken(program, &command.iter().map(String::as_str).collect::<Vec<_>>()), "{command:?}");
    }
    let version = format!("VERSION={}", env!("CARGO_PKG_VERSION"));
    assert!(dockerfile.stages()["runtime"].own.contains(&("ARG".into(), version)));
}

#[test]
fn the_build_is_the_one_that_was_locked() {
    let dockerfile = dockerfile();
    let (_, build) = dockerfile.said("build").into_iter().find(|(_, text)| text.contains("cargo build")).unwrap();
    for part in [
        "--locked",
        "--release",
        "--mount=type=cache,target=/target",
        "--mount=type=cache,target=/usr/local/cargo/registry",
    ] {
        assert!(build.contains(part), "{part}");
    }
    for (name, stage) in dockerfile.stages() {
        let is_stage = dockerfile.stages().contains_key(&stage.base);
        assert!(is_stage || is_pinned(&stage.base), "{name} begins with {}", stage.base);
    }
}

/// What is copied comes from another stage, so nothing of the checkout but what was built gets into a layer.
#[test]
fn no_layer_holds_a_source_or_a_secret() {
    for (name, stage) in dockerfile().stages() {
        for (instruction, arguments) in &stage.own {
            let is_file = ["COPY", "ADD"].contains(&instruction.as_str());
            assert!(!is_file || arguments.starts_with("--from=build /out/"), "{name}: {instruction} {arguments}");
            let is_variable = ["ARG", "ENV"].contains(&instruction.as_str());
            let is_secret = SECRETS.iter().any(|word| arguments.to_uppercase().contains(word));
            assert!(!is_variable || !is_secret, "{name}: {instruction} {arguments}");
        }
    }
    let ignored = text(".dockerignore");
    let ignored: Vec<&str> = ignored.lines().collect();
    for path in ["target", ".git", ".tools", ".headwater", "docker/secrets", "**/*.key", "**/*.token", "**/.env"] {
        assert!(ignored.contains(&path), "{path}");
    }
    assert!(!ignored.iter().any(|pattern| pattern.starts_with('!')), "nothing is let in again");
    assert!(text(".gitignore").lines().any(|line| line == "/docker/secrets"));
}

#[test]
fn nobody_is_root_and_nobody_may_become_it() {
    let dockerfile = dockerfile();
    for (name, service) in services() {
        let user = match service["build"]["target"].as_str() {
            Some(target) => dockerfile.last(target, "USER").expect(&name),
            None => service["user"].as_str().expect(&name).to_owned(),
        };
        assert!(!["root", "0"].contains(&user.split(':').next().unwrap()), "{name} is {user}");
        assert_eq!(service["cap_drop"], serde_json::json!(["ALL"]), "{name}");
        assert_eq!(service["security_opt"], serde_json::json!(["no-new-privileges:true"]), "{name}");
        assert_eq!(service["read_only"], true, "{name}");
        assert!(service["privileged"].is_null() && service["cap_add"].is_null(), "{name}");
    }
}

#[test]
fn every_secret_is_a_file_and_none_stands_in_the_composition() {
    let compose = compose();
    for (name, secret) in compose["secrets"].as_object().unwrap() {
        assert_eq!(*secret, serde_json::json!({"file": format!("secrets/{name}")}), "only a file");
    }
    for (name, service) in services() {
        for (variable, value) in environment(&service) {
            let is_secret = SECRETS.iter().any(|word| variable.contains(word));
            assert!(!is_secret || variable.ends_with("_FILE"), "{name}: {variable}");
            assert!(!variable.ends_with("_FILE") || value.starts_with('/'), "{name}: {variable}={value}");
            let user = value.split_once("://").and_then(|(_, rest)| rest.split_once('@')).map_or("", |(user, _)| user);
            assert!(!user.contains(':'), "{name}: {variable} has a password");
        }
        let given = words(&service["secrets"]);
        let mut asked: Vec<String> = environment(&service).into_values().collect();
        asked.extend(words(&service["command"]).into_iter().map(str::to_owned));
        let mut asked: Vec<&str> = asked.iter().filter_map(|path| path.strip_prefix("/run/secrets/")).collect();
        asked.sort_unstable();
        asked.dedup();
        let mut sorted = given.clone();
        sorted.sort_unstable();
        assert_eq!(asked, sorted, "{name} sees the secrets that it uses and no more");
        assert!(given.iter().all(|secret| !compose["secrets"][*secret].is_null()), "{name}");
    }
}

#[test]
fn the_settings_are_those_of_dev() {
    let compose = compose();
    let command = words(&compose["services"]["postgres"]["command"]).join(" ");
    assert!(command.contains("config_file=/etc/headwater/postgresql.conf"), "{command}");
    let postgres = mounted(&compose, "postgres", "/etc/headwater/postgresql.conf");
    let nats = mounted(&compose, "nats", "/etc/headwater/headwater.conf");
    let limits = mounted(&compose, "nats", "/etc/headwater/limits.conf");
    for (source, files) in [("postgres", vec![&postgres]), ("nats", vec![&nats, &limits])] {
        let source = text(&format!("src/lab/{source}.rs"));
        for file in files {
            assert!(source.contains(&format!(r#"include_str!("../../{file}")"#)), "{file}");
        }
    }
    assert!(text(&postgres).lines().any(|line| line == "wal_level = logical"));
    assert!(text(&nats).lines().any(|line| line.starts_with("jetstream {")));
    for file in ["container.conf", "start.sh"] {
        assert_eq!(mounted(&compose, "nats", &format!("/etc/headwater/{file}")), format!("docker/nats/{file}"));
    }
    // A service whose script is mounted starts that script, and nothing else.
    for (name, service) in compose["services"].as_object().unwrap() {
        if let ["/bin/sh", script] = words(&service["entrypoint"]).as_slice() {
            assert!(checkout(&mounted(&compose, name, script)).is_file(), "{name}");
        } else {
            assert!(service["entrypoint"].is_null(), "{name}");
        }
    }
}

/// Whether a service does something once at each start, and ends.
fn ends(service: &str) -> bool {
    ["bus", "install", "token-1", "token-2"].contains(&service)
}

#[test]
fn whatever_serves_has_a_health_check_and_comes_back() {
    let services = services();
    for (name, service) in &services {
        let image = service["image"].as_str().unwrap();
        assert!(is_pinned(image), "{name}: {image}");
        let is_one_shot = ends(name);
        let restart = service["restart"].as_str().unwrap();
        assert_eq!(restart, if is_one_shot { "on-failure:5" } else { "unless-stopped" }, "{name}");
        for (other, how) in service["depends_on"].as_object().into_iter().flatten() {
            let expected = if ends(other) { "service_completed_successfully" } else { "service_healthy" };
            assert_eq!(how["condition"], expected, "{name} after {other}");
            assert!(ends(other) || services[other]["healthcheck"].is_object(), "{name} after {other}");
        }
        assert!(service["ports"].is_null() || service["healthcheck"].is_object(), "{name}");
    }
    let check = words(&services["server"]["healthcheck"]["test"]);
    assert!(
        matches!(check.as_slice(), ["CMD", program @ "headwater", rest @ ..] if is_taken(program, rest)),
        "{check:?}"
    );
}

#[test]
fn only_the_door_is_open_and_only_to_this_machine() {
    let compose = compose();
    for (name, service) in services() {
        let expected: &[&str] = if name == "server" { &["127.0.0.1:7300:7300"] } else { &[] };
        assert_eq!(words(&service["ports"]), expected, "{name}");
        let expected = if name == "bus" { Value::from("none") } else { Value::Null };
        assert_eq!(service["network_mode"], expected, "{name}");
        let is_apart =
            words(&service["networks"]).iter().all(|network| compose["networks"][*network]["internal"] == true);
        assert_eq!(is_apart, name != "server", "{name}");
        if name.starts_with("edge") {
            assert_eq!(words(&service["networks"]), ["fleet"]);
        }
    }
    for service in services().values() {
        for volume in words(&service["volumes"]) {
            let (name, _) = volume.split_once(':').unwrap();
            assert!(names(&compose["volumes"]).contains(&&name.to_owned()), "{volume} is a named volume");
        }
    }
}

/// NATS sees the configuration that follows from the keys, and no key; each node sees its own token.
#[test]
fn keys_and_tokens_are_seen_by_those_who_use_them() {
    let services = services();
    let who_sees = |volume: &str| -> Vec<&str> {
        let sees =
            |service: &Value| words(&service["volumes"]).iter().any(|mount| mount.starts_with(&format!("{volume}:")));
        services.iter().filter(|(_, service)| sees(service)).map(|(name, _)| name.as_str()).collect()
    };
    assert_eq!(who_sees("bus"), ["bus", "install", "server"]);
    assert_eq!(who_sees("nats-conf"), ["bus", "nats"]);
    for number in [1, 2] {
        assert_eq!(who_sees(&format!("join-{number}")), [format!("edge-{number}"), format!("token-{number}")]);
        assert_eq!(who_sees(&format!("edge-{number}")), [format!("edge-{number}")]);
    }
    // A volume of its own gets its owner from the folder of the image.
    let (_, made) = dockerfile().said("runtime").into_iter().find(|(_, text)| text.contains("install -d")).unwrap();
    for service in services.values() {
        for mount in words(&service["volumes"]) {
            let target = mount.split(':').nth(1).unwrap();
            let is_of_an_image = ["/var/lib/postgresql/data", "/var/lib/nats"].contains(&target);
            assert!(is_of_an_image || made.split(' ').any(|folder| folder == target), "{mount}");
        }
    }
}

#[test]
fn units_are_hardened_and_start_what_there_is() {
    for unit in ["headwater-serve.service", "headwater-edge@.service"] {
        let text = text(&format!("docker/systemd/{unit}"));
        for line in [
            "CapabilityBoundingSet=",
            "NoNewPrivileges=yes",
            "ProtectSystem=strict",
            "ProtectHome=yes",
            "PrivateTmp=yes",
            "PrivateDevices=yes",
            "MemoryDenyWriteExecute=yes",
            "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
            "SystemCallFilter=@system-service",
            "Restart=always",
            "TimeoutStopSec=30",
        ] {
            assert!(text.lines().any(|is| is == line), "{unit}: {line}");
        }
        assert!(text.lines().any(|line| line == "DynamicUser=yes" || line == "User=headwater"), "{unit}");
        let started = text.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/")).unwrap();
        let started = started.replace("%S", "/var/lib").replace("%i", "node-1");
        let (program, words) = started.split_once(' ').unwrap();
        let words: Vec<&str> = words.split(' ').collect();
        assert!(is_taken(program, &words), "{started}");
        let command = words.iter().take_while(|word| !word.starts_with('-')).copied().collect::<Vec<_>>();
        let loaded = |credential: &str| text.contains(&format!("LoadCredential={credential}:/etc/headwater/secrets/"));
        for variable in text.lines().filter_map(|line| line.strip_prefix("Environment=")) {
            let (name, credential) = variable.split_once("=%d").expect("what is not a credential is not in the unit");
            match credential.strip_prefix('/') {
                Some(credential) => assert!(loaded(credential), "{name}"),
                // The folder with all of them: here the server finds the keys by their names.
                None => {
                    assert!(credential.is_empty() && ["answerer.nk", "issuer.nk", "warden.nk"].into_iter().all(loaded))
                }
            }
            assert!(
                String::from_utf8(help(program, &command).stdout).unwrap().contains(&format!("[env: {name}=")),
                "{name}"
            );
        }
    }
}
