#!/usr/bin/env python3
"""A small consumer of a Headwater event stream, written from docs/how-to/consume-events.md alone.

It reads cfg_events from where it stopped the last time, checks that no event is missing, checks the seal of each one, and prints whole
requests as lines of JSON. Needs the Python packages nats-py, nkeys and msgpack.

    consumer.py --nats nats://127.0.0.1:4222 --nkey-file reader.nk --memory /tmp/consumer.json [--until POSITION]
"""

import argparse
import asyncio
import hashlib
import json
import pathlib

import msgpack
import nats
import nats.errors

# How long to wait for news before reading all the same.
READ_EVERY_S = 5
# NATS is away or too slow: tried again.
NATS_ERRORS = (nats.errors.Error, asyncio.TimeoutError)


def leaf(event):
    """The seal of an event, as replay/FORMAT.md says."""
    names = ["v", "log_id", "position", "event_id", "command_id", "ordinal", "count", "entity", "version", "type", "actor", "at"]
    texts = [hashlib.sha256((event[name] or "").encode()).digest() for name in ("reason", "data")]
    return hashlib.sha256(b"\0" + msgpack.packb([event[name] for name in names] + texts)).digest()


def check(event, sequence, memory):
    assert event["position"] == sequence, f"position {event['position']} at sequence {sequence}"
    assert event["position"] == memory["position"] + len(memory["request"]) + 1, f"a gap before position {event['position']}"
    assert memory["log_id"] in (None, event["log_id"]), f"this is another log: {event['log_id']}"
    assert leaf(event) == event["leaf"], f"position {event['position']} is not what was sealed"


async def read(connection, stream, subjects, position):
    """The event at this sequence of the stream; none if there is none yet. It is a direct get, which needs no consumer."""
    asked = json.dumps({"seq": position, "next_by_subj": subjects}).encode()
    answer = await connection.request(f"$JS.API.DIRECT.GET.{stream}", asked, timeout=5)
    if "Status" in (answer.headers or {}):
        assert answer.headers["Status"] == "404", answer.headers
        return None
    return int(answer.headers["Nats-Sequence"]), msgpack.unpackb(answer.data)


async def run(arguments):
    path = pathlib.Path(arguments.memory)
    memory = json.loads(path.read_text()) if path.exists() else {"log_id": None, "position": 0}
    memory["request"] = []
    connection = await nats.connect(arguments.nats, name="consumer.py", nkeys_seed=arguments.nkey_file)
    stream, subjects = f"{arguments.prefix}_events", f"{arguments.prefix}.events.>"
    # What is heard only wakes this program: each event is read by its sequence, so that nothing is missed and nothing comes twice.
    news = await connection.subscribe(subjects)
    while arguments.until is None or memory["position"] < arguments.until:
        try:
            found = await read(connection, stream, subjects, memory["position"] + len(memory["request"]) + 1)
        except NATS_ERRORS:
            found = None
        if found is None:
            try:
                await news.next_msg(timeout=READ_EVERY_S)
            except NATS_ERRORS:
                pass
            continue
        sequence, event = found
        check(event, sequence, memory)
        memory["request"].append(event)
        if event["ordinal"] < event["count"]:
            continue  # The events of one request belong together: they are taken all at once.
        changes = [[event["type"], event["entity"], json.loads(event["data"])] for event in memory["request"]]
        print(json.dumps({"position": event["position"], "actor": event["actor"], "at": event["at"], "changes": changes}), flush=True)
        memory = {"log_id": event["log_id"], "position": event["position"], "request": []}
        path.write_text(json.dumps({"log_id": memory["log_id"], "position": memory["position"]}))


def main():
    parser = argparse.ArgumentParser(description="A small consumer of a Headwater event stream.")
    parser.add_argument("--nats", required=True, help="nats://host:port")
    parser.add_argument("--nkey-file", help="the file with the seed of the user of NATS to connect as, such as reader.nk")
    parser.add_argument("--prefix", default="cfg")
    parser.add_argument("--memory", required=True, help="the file that says which position was taken last")
    parser.add_argument("--until", type=int, help="end after this position")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
