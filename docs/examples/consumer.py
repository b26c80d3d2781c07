#!/usr/bin/env python3
"""A small consumer of a Headwater event stream, written from docs/how-to/consume-events.md alone.

It reads cfg_events from where it stopped the last time, checks that no event is missing, checks the seal of each one, and prints whole
requests as lines of JSON. Needs the Python packages nats-py and msgpack.

    consumer.py --nats nats://user:password@127.0.0.1:4222 --memory /tmp/consumer.json [--until POSITION]
"""

import argparse
import asyncio
import hashlib
import json
import pathlib

import msgpack
import nats
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy


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


async def run(arguments):
    path = pathlib.Path(arguments.memory)
    memory = json.loads(path.read_text()) if path.exists() else {"log_id": None, "position": 0}
    memory["request"] = []
    connection = await nats.connect(arguments.nats, name="consumer.py")
    # An ephemeral consumer from a sequence of our own: where we are is our memory, so that losing a consumer loses nothing.
    config = ConsumerConfig(
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=memory["position"] + 1, ack_policy=AckPolicy.NONE
    )
    stream = f"{arguments.prefix}_events"
    events = await connection.jetstream().subscribe(f"{arguments.prefix}.events.>", stream=stream, config=config, ordered_consumer=False)
    async for message in events.messages:
        event = msgpack.unpackb(message.data)
        check(event, message.metadata.sequence.stream, memory)
        memory["request"].append(event)
        if event["ordinal"] < event["count"]:
            continue  # The events of one request belong together: they are taken all at once.
        changes = [[event["type"], event["entity"], json.loads(event["data"])] for event in memory["request"]]
        print(json.dumps({"position": event["position"], "actor": event["actor"], "at": event["at"], "changes": changes}), flush=True)
        memory = {"log_id": event["log_id"], "position": event["position"], "request": []}
        path.write_text(json.dumps({"log_id": memory["log_id"], "position": memory["position"]}))
        if arguments.until is not None and memory["position"] >= arguments.until:
            return


def main():
    parser = argparse.ArgumentParser(description="A small consumer of a Headwater event stream.")
    parser.add_argument("--nats", required=True, help="nats://user:password@host:port")
    parser.add_argument("--prefix", default="cfg")
    parser.add_argument("--memory", required=True, help="the file that says which position was taken last")
    parser.add_argument("--until", type=int, help="end after this position")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
