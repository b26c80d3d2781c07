"""Checks the vectors beside it with what ../verify.py computes. Prints one line for each file, and ends with 1 at the first
that differs.
"""

import datetime
import hashlib
import json
import pathlib
import struct
import sys
import uuid

FOLDER = pathlib.Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))

import verify  # noqa: E402 (it lies in the folder above)


def vector(name):
    return json.loads((FOLDER / f"{name}.json").read_text())


def micros(text):
    return (datetime.datetime.fromisoformat(text.rstrip("Z")) - verify.EPOCH) // datetime.timedelta(microseconds=1)


def event_row(event):
    """The event as a row of a file has it."""
    ids = {name: uuid.UUID(event[name]).bytes for name in ("event_id", "command_id")}
    return event | ids | {"reason": event["reason"] or "", "at": micros(event["at"])}


def events():
    for each in vector("events"):
        event = each["event"]
        assert hashlib.sha256(b"\0" + bytes.fromhex(each["entry"])).hexdigest() == each["leaf"], event["position"]
        assert verify.leaf_of(event["log_id"], event_row(event)).hex() == each["leaf"], event["position"]


def trees():
    for each in vector("trees"):
        tree = verify.Tree()
        for index in range(each["size"]):
            tree.push(hashlib.sha256(b"\0" + struct.pack(">Q", index)).digest())
        assert [root.hex() for root in tree.edge] == each["edge"], each["size"]
        assert tree.root().hex() == each["root"], each["size"]


def checkpoint():
    said = vector("checkpoint")
    size, root = verify.read_checkpoint(said["note"], said["log_id"], bytes.fromhex(said["key"]))
    assert (size, root.hex()) == (said["position"], said["root"])


for check in (events, trees, checkpoint):
    check()
    print(f"{check.__name__}.json agrees")
