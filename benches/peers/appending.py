"""How many commands a second are answered, each of which is stored as one event in a transaction that is on disk by then."""

import json
import re
import secrets
import shutil

from environment import CHECKOUT, HERE, Missing, npm, program, run

NODES = 500
CONNECTIONS = 64
# As many requests of one principal as a server takes at once (docs/reference/limits.md).
CONNECTIONS_MAX = 256
# How long pgbench may take to connect, tried in turn.
CONNECTING_S = (1, 3, 6)

# A message of message-db with about the same data. Writers of one category wait for each other until they have committed.
MESSAGE_DB = """\\set node random(1, 500)
\\set round random(1, 1000000000)
SELECT message_store.write_message(gen_random_uuid()::varchar, {category} || '-' || :node, 'NodeLabelled',
    jsonb_build_object('labels', jsonb_build_object('round', (:round)::text, 'site', 'lund')),
    '{{"actor": "admin"}}'::jsonb);
"""
# A row of table `event`, numbered by a sequence as a log without a batching writer would be. The leaf is not computed.
SINGLE = """INSERT INTO event (event_id, command_id, ordinal, count, entity, version, type, v, actor, at, data, leaf)
    SELECT id, id, 1, 1, 'node/' || id, 1, 'NodeLabelled', 1, 'admin', now(), '{"labels":{"round":"1","site":"lund"}}',
        decode(repeat('00', 32), 'hex') FROM gen_random_uuid() AS id;
"""


class Side:
    """Something that takes commands: its name in the table, what it is, and how to measure it for some seconds."""

    def __init__(self, name, what, measure):
        self.name, self.what, self.measure = name, what, measure


def sides(lab, postgres, headwater, skip):
    """The sides that can be measured here. `skip` is told why the others can't be."""
    ways = [
        ("Headwater", lambda: over_http(headwater)),
        ("INSERT", lambda: single_rows(lab, postgres)),
        ("message-db", lambda: message_db(lab, postgres)),
        ("emmett", lambda: emmett(postgres)),
    ]
    found = []
    for name, make in ways:
        try:
            found += make()
        except Missing as why:
            skip(name, why)
    return found


def over_http(headwater):
    wrk = program("wrk")
    what = "POST /v1/commands by wrk, one `label_node` a request, on so many keep-alive connections"
    return [Side(f"Headwater, {count}", what, load(wrk, headwater, count)) for count in (CONNECTIONS, CONNECTIONS_MAX)]


def load(wrk, headwater, connections):
    def measure(seconds):
        env = {**headwater.env(), "PEER_NODES": str(NODES), "PEER_STAMP": secrets.token_hex(4), "PEER_TOKEN": headwater.token}
        before = headwater.position()
        url = f"http://127.0.0.1:{headwater.port}"
        said = run([wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "-s", HERE / "commands.lua", url], env=env)
        answered = json.loads(said.strip().splitlines()[-1])
        appended = headwater.position() - before
        if answered["refused"] or answered["broken"]:
            raise Missing(f"of {answered['requests']} requests {answered['refused']} were refused and {answered['broken']} broke")
        # Requests that are under way at the end are appended, too, and nobody waits for their answers.
        if not answered["requests"] <= appended <= answered["requests"] + connections:
            raise Missing(f"{answered['requests']} requests were answered, and {appended} events appended")
        return answered["requests"] / answered["microseconds"] * 1e6

    return measure


def pgbench(postgres, database, script):
    def measure(seconds):
        # The seconds that pgbench is given count from before it connects; its rate counts from afterwards.
        for connecting in CONNECTING_S:
            command = [postgres.bin / "pgbench", "-n", "-M", "prepared", "-c", CONNECTIONS, "-j", 1, "-T", seconds + connecting, "-f", script]
            said = run(command, env=postgres.env(database))
            found = re.search(r"initial connection time = ([\d.]+) ms\s+tps = ([\d.]+) \(without", said)
            if found and float(found.group(1)) <= connecting * 1000:
                break
        else:
            raise Missing(f"pgbench took more than {CONNECTING_S[-1]} s to connect")
        if "number of failed transactions: 0 " not in said:
            raise Missing(f"pgbench: {' '.join(said.split())[-300:]}")
        return float(found.group(2))

    return measure


def message_db(lab, postgres):
    package = npm("message-db") / "node_modules" / "@eventide" / "message-db" / "database"
    database = "message_store"
    run(["bash", package / "install.sh"], env={**postgres.env("postgres"), "DATABASE_NAME": database})
    # Its functions call each other by bare names.
    postgres.sql("postgres", f"ALTER DATABASE {database} SET search_path TO message_store, public")
    found = []
    for name, category in {"one category": "'node'", f"{CONNECTIONS} categories": "'node' || :client_id"}.items():
        script = lab.folder / f"message_db_{len(found)}.sql"
        script.write_text(MESSAGE_DB.format(category=category))
        what = f"SELECT write_message(…) by pgbench, prepared; the streams are of {name}"
        found.append(Side(f"message-db, {CONNECTIONS}, {name}", what, pgbench(postgres, database, script)))
    return found


def emmett(postgres):
    node, home = program("node"), npm("emmett")
    # Node looks for packages beside the file.
    script = shutil.copy(HERE / "emmett.mjs", home)
    postgres.sql("postgres", "CREATE DATABASE emmett")

    def measure(seconds):
        said = json.loads(run([node, script, seconds, secrets.token_hex(4)], env=postgres.env("emmett")).strip().splitlines()[-1])
        if said["connections"] != CONNECTIONS:
            raise Missing(f"emmett used {said['connections']} connections")
        return said["rate"]

    what = "appendToStream of one event by one node process, as many calls in flight as connections"
    return [Side(f"emmett, {CONNECTIONS}", what, measure)]


def single_rows(lab, postgres):
    database = "single"
    postgres.sql("postgres", f"CREATE DATABASE {database}")
    postgres.sql_file(database, CHECKOUT / "schema" / "sql" / "V02__event.sql")
    postgres.sql(database, "CREATE SEQUENCE position; ALTER TABLE event ALTER position SET DEFAULT nextval('position')")
    script = lab.folder / "single.sql"
    script.write_text(SINGLE)
    what = "one row by an INSERT by pgbench, prepared, into a table with the columns and indexes of `event`"
    return [Side(f"INSERT, {CONNECTIONS}", what, pgbench(postgres, database, script))]


def enrol(headwater):
    headwater.command([{"type": "enrol_node", "id": f"n-{number}", "labels": {}} for number in range(NODES)])
