"""From the write-ahead log to whoever wants the events: how many a second from a backlog, and how long one takes at rest."""

import asyncio
import contextlib
import datetime
import json
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import nats
from nats.js.api import ConsumerConfig, DeliverPolicy

from appending import NODES
from environment import Missing, debezium, program
from servers import wait_until

STREAM = "cfg_events"
SLOT = "peer"
# Commands of a request of the backlog, and requests in flight.
BATCH = 500
SENDERS = 4
DRAIN_WITHIN_S = 300
# Single commands before those that count, and the pause after each.
WARM_UP = 20
PAUSE_S = 0.03


def relabel(number, stamp):
    return {"type": "label_node", "id": f"n-{number % NODES}", "labels": {"round": f"{stamp}-{number}", "site": "lund"}}


def append(headwater, events):
    """Appends a backlog: each request has BATCH commands, which become as many events in one transaction."""
    stamp = secrets.token_hex(4)
    requests = [[relabel(number, stamp) for number in range(first, first + BATCH)] for first in range(0, events, BATCH)]
    with ThreadPoolExecutor(SENDERS) as senders:
        list(senders.map(headwater.command, requests))


class Stream:
    """The event stream, read as the relay's own user of NATS, who may make a consumer."""

    def __init__(self, bus):
        self.bus = bus

    @contextlib.asynccontextmanager
    async def connected(self):
        connection = await nats.connect(self.bus.url(), nkeys_seed=str(self.bus.bus / "relay.nk"), allow_reconnect=False)
        try:
            yield connection.jetstream()
        finally:
            await connection.close()

    async def reaches(self, position, within=DRAIN_WITHIN_S):
        """Waits until the stream has this position."""
        until = time.monotonic() + within
        async with self.connected() as jetstream:
            while (await jetstream.stream_info(STREAM)).state.last_seq < position:
                if time.monotonic() > until:
                    raise Missing(f"the stream did not reach position {position} within {within} s")
                await asyncio.sleep(0.1)

    async def seconds_between(self, first, last):
        """By the times at which NATS stored both messages."""
        async with self.connected() as jetstream:
            messages = [await jetstream.get_msg(STREAM, seq=sequence, direct=True) for sequence in (first, last)]
        began, ended = (seconds(message.headers["Nats-Time-Stamp"]) for message in messages)
        return ended - began


def seconds(text):
    """Seconds of an RFC 3339 time with nanoseconds."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.datetime.fromisoformat(whole + "+00:00").timestamp() + float(f"0.{fraction or 0}")


class Debezium:
    """The JVM with Debezium's embedded engine. It serves all rounds."""

    def __init__(self, lab, postgres, database):
        classes = debezium()
        self.postgres, self.database = postgres, database
        self.child = lab.start("debezium", [program("java"), "-cp", classes, "DebeziumPeer"], env=postgres.env(database), pipes=True)
        self.expect("ready")

    def tell(self, line):
        try:
            self.child.stdin.write(line + "\n")
            self.child.stdin.flush()
        except OSError as error:
            raise Missing("Debezium has ended") from error

    def expect(self, word):
        """The rest of the next line, which begins with this word. An engine that says nothing for too long is ended."""
        too_long = threading.Timer(DRAIN_WITHIN_S, self.child.kill)
        too_long.start()
        line = self.child.stdout.readline().split()
        too_long.cancel()
        if not line or line[0] != word:
            raise Missing(f"Debezium did not say `{word}`: {' '.join(self.child.log.read_text().split())[-400:]}")
        return line[1:]

    def make_slot(self):
        self.postgres.sql(self.database, f"SELECT pg_create_logical_replication_slot('{SLOT}', 'pgoutput')")

    def drop_slot(self):
        free = f"SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{SLOT}' AND active"
        wait_until("Debezium's slot is free", lambda: self.postgres.sql(self.database, free) == "0")
        self.postgres.sql(self.database, f"SELECT pg_drop_replication_slot('{SLOT}') FROM pg_replication_slots WHERE slot_name = '{SLOT}'")

    def drain(self, events, poll_ms=10):
        """Rows a second, from the first to the last of the slot's backlog."""
        self.tell(f"drain {SLOT} {events} {poll_ms}")
        seen, nanoseconds = self.expect("drained")
        if int(seen) != events:
            raise Missing(f"Debezium gave {seen} of {events} rows")
        return (events - 1) / int(nanoseconds) * 1e9


def published(headwater, stream, first):
    """Events a second, from the time that NATS stored position `first` until it stored the log's last one."""
    last = headwater.position()
    asyncio.run(stream.reaches(last))
    return (last - first) / asyncio.run(stream.seconds_between(first, last))


def drain_away(headwater, stream, events):
    """The relay was not running while the backlog was appended. When it starts it fills the stream from the table."""
    headwater.stop_relay()
    first = headwater.position() + 1
    append(headwater, events)
    headwater.start_relay()
    return published(headwater, stream, first)


def drain_round(headwater, stream, debezium_engine, events, debezium_first):
    """The same backlog from the write-ahead log, by the relay and by Debezium: a stopped process keeps its session and reads nothing."""
    relayed, first = headwater.relayed(), headwater.position() + 1
    headwater.freeze_relay()
    rates = {}

    def by_headwater():
        headwater.thaw_relay()
        rates["headwater"] = published(headwater, stream, first)
        came, wanted = headwater.relayed() - relayed, headwater.position() + 1 - first
        if came != wanted:
            raise Missing(f"{came} of {wanted} events came through the relay's slot, and the others from the table")

    def by_debezium():
        if debezium_engine is not None:
            rates["debezium"] = debezium_engine.drain(headwater.position() + 1 - first)

    if debezium_engine is not None:
        debezium_engine.make_slot()
    try:
        append(headwater, events)
        for way in (by_debezium, by_headwater) if debezium_first else (by_headwater, by_debezium):
            way()
    finally:
        headwater.thaw_relay()
        if debezium_engine is not None:
            debezium_engine.drop_slot()
    return rates


class Client:
    """One keep-alive connection to Headwater's door."""

    def __init__(self, headwater):
        self.headwater = headwater

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.headwater.port)
        return self

    async def __aexit__(self, *_):
        self.writer.close()

    async def command(self, command):
        """Sends one command; gives the position of its answer, and when the answer was there."""
        body = json.dumps({"commands": [command]}).encode()
        head = f"POST /v1/commands HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.headwater.token}\r\n" \
               f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.writer.write(head.encode() + body)
        answer = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next(int(line.split(":")[1]) for line in answer.splitlines() if line.startswith("content-length:"))
        body = await self.reader.readexactly(length)
        answered = time.time_ns()
        if " 200 " not in answer.splitlines()[0]:
            raise Missing(f"Headwater refused: {body.decode()[:300]}")
        return json.loads(body)["position"], answered


async def single_commands(headwater, samples, heard):
    """Sends single commands with pauses. Gives the milliseconds from each answer to when `heard` has its position, the shortest first."""
    stamp, answers = secrets.token_hex(4), {}
    async with Client(headwater) as client:
        for number in range(WARM_UP + samples):
            position, answered = await client.command(relabel(number, stamp))
            await asyncio.sleep(PAUSE_S)
            if number >= WARM_UP:
                answers[position] = answered
    until = time.monotonic() + 10
    while not answers.keys() <= heard.keys():
        if time.monotonic() > until:
            raise Missing(f"{len(answers.keys() - heard.keys())} of {samples} events were not heard")
        await asyncio.sleep(0.05)
    return sorted((heard[position] - answered) / 1e6 for position, answered in answers.items())


async def rest_of_relay(headwater, stream, samples):
    """A JetStream consumer of the stream, in this process."""
    heard = {}

    async def hear(message):
        heard[message.metadata.sequence.stream] = time.time_ns()

    await stream.reaches(headwater.position())
    async with stream.connected() as jetstream:
        new = ConsumerConfig(deliver_policy=DeliverPolicy.NEW)
        await jetstream.subscribe("cfg.events.>", stream=STREAM, ordered_consumer=True, config=new, cb=hear)
        return await single_commands(headwater, samples, heard)


async def rest_of_debezium(headwater, engine, samples, poll_ms):
    """The times that the JVM prints for each row."""
    heard, stopped = {}, threading.Event()

    def listen():
        for line in engine.child.stdout:
            words = line.split()
            if words[0] != "row":
                break
            heard[int(words[1])] = int(words[2])
        stopped.set()

    engine.make_slot()
    engine.tell(f"follow {SLOT} {poll_ms}")
    threading.Thread(target=listen, daemon=True).start()
    try:
        await first_row(headwater, heard)
        return await single_commands(headwater, samples, heard)
    finally:
        engine.tell("stop")
        await asyncio.to_thread(stopped.wait, 60)
        engine.drop_slot()


async def first_row(headwater, heard):
    """Sends commands until the engine gives rows: it takes some seconds to start."""
    until = time.monotonic() + 60
    async with Client(headwater) as client:
        while not heard:
            if time.monotonic() > until:
                raise Missing("Debezium gave no row within 60 s")
            await client.command(relabel(0, secrets.token_hex(4)))
            await asyncio.sleep(0.5)
