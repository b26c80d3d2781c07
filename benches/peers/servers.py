"""The servers of the comparison: a private PostgreSQL, a private nats-server and Headwater's own programs, in a folder that is removed.

Everything listens on the loopback interface. Each process is ended by its pid, also when this program is ended by a signal: the kernel
then signals the children (`setpriv --pdeathsig`).
"""

import contextlib
import json
import os
import pathlib
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from environment import CHECKOUT, Missing, first_line, run

# What differs from initdb's own settings. The rest is PostgreSQL's defaults, fsync among them.
POSTGRES_SETTINGS = {"wal_level": "logical", "max_connections": "200"}
START_WITHIN_S = 60
STOP_WITHIN_S = 30


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Lab:
    """The temporary folder and the processes. Leaving it ends them, the newest first, and removes the folder."""

    def __init__(self, parent):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="headwater-peers-", dir=parent))
        # The account of PostgreSQL has to get through.
        self.folder.chmod(0o711)
        self.children = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for child in reversed(self.children):
            stop(child)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, name, command, account=(), pipes=False, **options):
        """Starts a process that ends with this one. Its output goes to a file, or to pipes."""
        ends_with_us = ["setpriv", "--pdeathsig", "SIGKILL" if name != "postgres" else "SIGINT", *account, "--"]
        command = [*ends_with_us, *[str(part) for part in command]]
        path = self.folder / f"{name}.log"
        with open(path, "ab") as log:
            streams = {"stdin": subprocess.DEVNULL, "stdout": log}
            if pipes:
                streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            # With a process group of its own the child does not get the Ctrl-C of a terminal: this program ends it.
            child = subprocess.Popen(command, stderr=log, start_new_session=True, **streams, **options)
        child.name, child.log = name, path
        self.children.append(child)
        return child


def stop(child, ask=None):
    """Asks a process to end, and kills it if it does not. PostgreSQL ends its sessions on SIGINT only."""
    if child.poll() is None:
        child.send_signal(signal.SIGCONT)
        child.send_signal(ask or (signal.SIGINT if child.name == "postgres" else signal.SIGTERM))
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(STOP_WITHIN_S)
    if child.poll() is None:
        child.kill()
        child.wait()


def wait_until(what, is_so, child=None, within=START_WITHIN_S):
    """Waits for a condition. The end of what the child said is in the error."""
    until = time.monotonic() + within
    while not is_so():
        ended = child is not None and child.poll() is not None
        if ended or time.monotonic() > until:
            said = " ".join(child.log.read_text(errors="replace").split())[-600:] if child is not None else ""
            raise Missing(f"{what}: {'it ended' if ended else f'not within {within} s'}. {said}")
        time.sleep(0.05)


class Postgres:
    """A cluster made by initdb, which everybody needs a password for."""

    def __init__(self, lab, bin_folder):
        self.bin, self.port, self.password = bin_folder, free_port(), secrets.token_hex(16)
        home = lab.folder / "postgres"
        home.mkdir()
        (home / "password").write_text(self.password)
        self.account = self.own(home)
        run(["setpriv", *self.account, "--", self.bin / "initdb", "-D", home / "data", "-E", "UTF8", "--locale=C", "-U", "postgres",
             "--auth=scram-sha-256", f"--pwfile={home / 'password'}", "--no-instructions"], cwd=home, env={**os.environ, "LC_ALL": "C"})
        settings = {**POSTGRES_SETTINGS, "listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": ""}
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        server = lab.start("postgres", [self.bin / "postgres", "-D", home / "data", *arguments], self.account, cwd=home)
        ready = [str(self.bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        wait_until("PostgreSQL", lambda: subprocess.run(ready).returncode == 0, server)

    @staticmethod
    def own(home):
        """PostgreSQL refuses to run as root, so that another account gets its folder then."""
        if os.geteuid() != 0:
            return []
        names = [entry.pw_name for entry in pwd.getpwall()]
        account = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
        for path in (home, home / "password"):
            os.chown(path, account.pw_uid, account.pw_gid)
        return [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]

    def env(self, database):
        """The variables of libpq, which psql, pgbench and the peers read."""
        here = {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": "postgres", "PGPASSWORD": self.password, "PGDATABASE": database}
        return {**os.environ, **here, "PATH": f"{self.bin}:{os.environ['PATH']}"}

    def sql(self, database, text):
        """What a statement answers, as text."""
        return run([self.bin / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", text], env=self.env(database)).strip()

    def sql_file(self, database, path):
        run([self.bin / "psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-f", path], env=self.env(database))

    def url(self, database, user="postgres"):
        return f"postgres://{user}@127.0.0.1:{self.port}/{database}"


class Nats:
    """A nats-server with the settings that the project ships, and its keys of `headwater bus init`."""

    def __init__(self, lab, program, headwater):
        home = lab.folder / "nats"
        home.mkdir()
        self.bus = lab.folder / "bus"
        run([headwater, "bus", "init", "--dir", self.bus])
        version = re.search(r"v(\d+)\.(\d+)", first_line([program, "--version"]))
        knows_limits = version and tuple(map(int, version.groups())) >= (2, 15)
        shipped = CHECKOUT / "docker" / "nats"
        shutil.copy(shipped / "headwater.conf", home)
        (home / "limits.conf").write_text((shipped / "limits.conf").read_text() if knows_limits else "")
        shutil.copy(self.bus / "bus.conf", home)
        self.port = free_port()
        quoted = {"HEADWATER_NATS_LISTEN": f'"127.0.0.1:{self.port}"', "HEADWATER_NATS_STORE": f'"{home}/jetstream"'}
        server = lab.start("nats-server", [program, "-c", home / "headwater.conf"], env={**os.environ, **quoted}, cwd=home)
        wait_until("nats-server", self.greets, server)

    def greets(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 2) as connection:
            return b'"jetstream":true' in connection.recv(65536)
        return False

    def url(self):
        return f"nats://127.0.0.1:{self.port}"


class Headwater:
    """An installed log, its HTTP door, and its relay as a process of its own, which can be away."""

    DATABASE = "headwater"

    def __init__(self, lab, program, postgres, nats):
        self.lab, self.program, self.postgres, self.nats = lab, program, postgres, nats
        self.port, self.relay, self.relay_port = free_port(), None, None
        self.secrets = lab.folder / "secrets"
        self.secrets.mkdir(mode=0o700)
        for name, text in {"postgres": postgres.password, "app": secrets.token_hex(16), "relay": secrets.token_hex(16)}.items():
            path = self.secrets / name
            path.write_text(text)
            path.chmod(0o600)
        postgres.sql("postgres", f"CREATE DATABASE {self.DATABASE} ENCODING 'UTF8' TEMPLATE template0")
        self.install()
        self.token = (self.secrets / "admin_token").read_text().strip()
        self.door = lab.start("door", self.serve("door", self.port), env=self.env())
        wait_until("the door", lambda: self.is_ready(self.port), self.door)

    def install(self):
        postgres, nats, files = self.postgres, self.nats, self.secrets
        run([self.program, "install", "--database-url", postgres.url(self.DATABASE), "--database-password-file", files / "postgres",
             "--app-password-file", files / "app", "--replication-password-file", files / "relay", "--nats-url", nats.url(),
             "--nats-nkey-file", nats.bus / "relay.nk", "--signing-key-file", files / "signing_key",
             "--admin-token-file", files / "admin_token"], env=self.env())

    def env(self):
        """No setting of the caller for another server reaches these."""
        return {**{name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")}, "HEADWATER_LOG": "warn"}

    def serve(self, role, port):
        database, files = self.DATABASE, self.secrets
        return [self.program, "serve", "--role", role, "--http", f"127.0.0.1:{port}", "--nats-url", self.nats.url(),
                "--nats-nkey-file", self.nats.bus / "relay.nk", "--bus-dir", self.nats.bus, "--signing-key-file", files / "signing_key",
                "--database-url", self.postgres.url(database, "headwater_app"), "--database-password-file", files / "app",
                "--replication-url", self.postgres.url(database, "headwater_relay"), "--replication-password-file", files / "relay"]

    def is_ready(self, port):
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return answer.status == 200
        return False

    def start_relay(self):
        self.relay_port = free_port()
        self.relay = self.lab.start("relay", self.serve("reconciler", self.relay_port), env=self.env())
        wait_until("the relay", lambda: self.is_ready(self.relay_port), self.relay)

    def stop_relay(self):
        if self.relay is not None:
            stop(self.relay)
            self.lab.children.remove(self.relay)
            self.relay = None

    def freeze_relay(self):
        self.relay.send_signal(signal.SIGSTOP)

    def thaw_relay(self):
        self.relay.send_signal(signal.SIGCONT)

    def relayed(self):
        """How many events this relay has published as they came through its slot. Those that it took from the table do not count."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.relay_port}/metrics", headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            found = re.search(r"^headwater_relay_batch_events_sum (\S+)", answer.read().decode(), re.MULTILINE)
        return round(float(found.group(1))) if found else 0

    def command(self, commands):
        """Sends one request, and gives the position of its answer."""
        body = json.dumps({"reason": "a measurement", "commands": commands}).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/v1/commands", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["position"]
        except urllib.error.HTTPError as error:
            raise Missing(f"Headwater refused: {error.read().decode(errors='replace')[:300]}") from error

    def position(self):
        return int(self.postgres.sql(self.DATABASE, "SELECT position FROM log_head"))
