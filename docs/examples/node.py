#!/usr/bin/env python3
"""A small Headwater node, written from docs/how-to/write-a-node.md and docs/reference/nats.md alone.

It watches its desired record, verifies it with a pinned key, writes the files, switches to them at once, and reports. It has no hooks, no
repair of drift and no jobs, and it is meant to be read. Needs the Python packages nats-py, msgpack and cryptography.

    node.py --nats nats://user:password@127.0.0.1:4222 --node node-9 --dir /tmp/node-9 --trust <public key in hex>
"""

import argparse
import asyncio
import datetime
import hashlib
import json
import os
import pathlib
import shutil
import struct
import uuid

import msgpack
import nats
import nats.errors
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from nats.js.errors import NotFoundError

FORMAT = 1
REPORT_EVERY_S = 10
FETCH_WITHIN_S = 60
# NATS is away, is too slow, or does not have what was asked for: all of it is tried again.
NATS_ERRORS = (nats.errors.Error, asyncio.TimeoutError)


class Refused(Exception):
    """A record that this node does not apply. The first argument is the stable code."""


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read(message):
    """One MessagePack map in a format that this program knows."""
    record = msgpack.unpackb(message)
    if record["v"] > FORMAT:
        raise Refused("newer_format", f"format {record['v']} is newer than this program")
    return record


def check_path(path):
    parts = path.split("/")
    if path.startswith("/") or any(part in ("", ".", "..") for part in parts) or "\\" in path or "\0" in path:
        raise Refused("invalid_path", path)


def write(path, content):
    """Writes a file that is whole after a power cut, too."""
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path):
    """Makes the names in a folder durable."""
    folder = os.open(path, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def digest_of(entries):
    hasher = hashlib.sha256()
    for entry in entries:
        path = entry["path"].encode()
        hasher.update(struct.pack(">I", len(path)) + path + entry["digest"])
    return hasher.digest()


class Node:
    def __init__(self, arguments):
        self.id, self.prefix = arguments.node, arguments.prefix
        self.dir = pathlib.Path(arguments.dir).absolute()
        self.key = bytes.fromhex(arguments.trust)
        self.boot, self.seq, self.attempt = str(uuid.uuid4()), 0, None
        (self.dir / "generations").mkdir(parents=True, exist_ok=True)
        self.state = {"log_id": None, "floor": None, "running": None, "boot_no": 0}
        if (self.dir / "state.json").exists():
            self.state = json.loads((self.dir / "state.json").read_text())
        self.state["boot_no"] += 1
        self.save()

    def save(self):
        """Replaces state.json as a whole, so that a crash leaves the old file or the new one."""
        new = self.dir / "state.json.new"
        write(new, json.dumps(self.state).encode())
        new.rename(self.dir / "state.json")
        sync_folder(self.dir)

    # The five checks of docs/reference/nats.md, in their order.

    def open(self, message):
        signed = read(message)
        if signed.get("key_id") != hashlib.sha256(self.key).digest():
            raise Refused("bad_signature", "another key signed it")
        try:
            Ed25519PublicKey.from_public_bytes(self.key).verify(signed["sig"], signed["body"])
        except InvalidSignature:
            raise Refused("bad_signature", "the signature is wrong") from None
        record = read(signed["body"])
        if record["node"] != self.id:
            raise Refused("other_node", record["node"])
        if self.state["log_id"] not in (None, record["log_id"]):
            raise Refused("other_log", record["log_id"])
        floor = self.state["floor"]
        if floor and record["position"] < floor["position"]:
            raise Refused("older_position", f"{record['position']} is below {floor['position']}")
        if floor and record["position"] == floor["position"] and record["digest"].hex() != floor["digest"]:
            raise Refused("same_position_other_content", str(record["position"]))
        paths = [entry["path"].encode() for entry in record["entries"]]
        if paths != sorted(set(paths)):
            raise Refused("unsorted_entries", "paths must rise")
        for entry in record["entries"]:
            check_path(entry["path"])
            if entry["kind"] not in ("document", "job"):
                raise Refused("newer_format", f"entry kind {entry['kind']}")
        if digest_of(record["entries"]) != record["digest"]:
            raise Refused("wrong_digest", "the entries are not those of the digest")
        return record

    def claimed(self, message):
        """Position and digest that a record claims. They are not verified, and only name it in a report."""
        unnamed = {"position": 0, "digest": hashlib.sha256(message).digest()}
        try:
            body = msgpack.unpackb(msgpack.unpackb(message)["body"])
            claim = {"position": int(body["position"]), "digest": bytes(body["digest"])}
        except Exception:
            return unnamed
        # A forged record must not pass for the accepted one.
        floor = self.state["floor"]
        return unnamed if floor and floor["digest"] == claim["digest"].hex() else claim

    async def content(self, entry):
        if "inline" in entry:
            content = entry["inline"]
        else:
            store = await self.js.object_store(f"{self.prefix}_blobs")
            content = (await asyncio.wait_for(store.get(entry["digest"].hex()), FETCH_WITHIN_S)).data
        if len(content) != entry["size"] or hashlib.sha256(content).digest() != entry["digest"]:
            raise Refused("wrong_blob", entry["path"])
        return content

    async def apply(self, message):
        """Whether it is done with the record. If not, the record is tried again."""
        record = self.claimed(message)
        try:
            record = self.open(message)
            mark = {"position": record["position"], "digest": record["digest"].hex()}
            self.state.update(log_id=record["log_id"], floor=mark)
            self.save()
            if self.state["running"] is None or self.state["running"]["digest"] != mark["digest"]:
                await self.switch(record, mark)
            self.state["running"] = mark
            self.save()
            self.tried(record, "applied")
            return True
        except Refused as refusal:
            self.tried(record, "refused", *refusal.args)
            return refusal.args[0] != "wrong_blob"  # The server writes a wrong object again.
        except NATS_ERRORS as error:
            self.tried(record, "failed", "fetch_failed", repr(error))
            return False

    async def switch(self, record, mark):
        name = f"{mark['position']:020}-{mark['digest'][:12]}"
        new = self.dir / "generations" / ".new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        for entry in record["entries"]:
            place = new / ("files/" + entry["path"] if entry["kind"] == "document" else entry["path"])
            place.parent.mkdir(parents=True, exist_ok=True)
            write(place, await self.content(entry))
            sync_folder(place.parent)
        shutil.rmtree(self.dir / "generations" / name, ignore_errors=True)
        new.rename(self.dir / "generations" / name)
        sync_folder(self.dir / "generations")
        # Renaming a new link over the old one switches all files at once.
        link = self.dir / "current.new"
        link.unlink(missing_ok=True)
        link.symlink_to(f"generations/{name}")
        link.rename(self.dir / "current")
        sync_folder(self.dir)

    def tried(self, record, state, code=None, detail=None):
        mark = {"position": record["position"], "digest": record["digest"]}
        self.attempt = {**mark, "state": state, "code": code, "detail": detail, "at": now()}

    def report(self):
        def mark(mark):
            return mark and {"position": mark["position"], "digest": bytes.fromhex(mark["digest"])}

        self.seq += 1
        running = mark(self.state["running"])
        return msgpack.packb({
            "v": FORMAT, "log_id": self.state["log_id"], "node": self.id, "boot": self.boot, "boot_no": self.state["boot_no"],
            "seq": self.seq, "seen": mark(self.state["floor"]), "attempt": self.attempt, "running": running, "last_good": running,
            "rejected": [], "drift": [], "agent": "node.py 1", "at": now(),
        })

    async def turn(self, desired, done):
        """Applies the newest record, unless the node is done with it, and reports. Returns the record that it is done with."""
        try:
            message = (await desired.get(self.id)).value
            if message != done and await self.apply(message):
                done = message
        except NotFoundError:
            pass  # Nobody has enrolled the node yet. It reports all the same, and is heard as unknown.
        await self.js.publish(f"$KV.{self.prefix}_reported.{self.id}", self.report())
        return done

    async def run(self, url):
        connection = await nats.connect(url, name=f"node.py {self.id}", max_reconnect_attempts=-1)
        self.js = connection.jetstream()
        desired = await self.js.key_value(f"{self.prefix}_desired")
        newest = asyncio.Event()

        async def watch():
            # The stream is read directly now and then as well: a watch can die without a word.
            watcher = await desired.watch(self.id)
            async for _ in watcher:
                newest.set()

        watching = asyncio.create_task(watch())
        done = None
        while True:
            newest.clear()
            try:
                done = await self.turn(desired, done)
            except NATS_ERRORS as error:
                print(f"NATS does not answer, so this is tried again: {error!r}", flush=True)
            try:
                await asyncio.wait_for(newest.wait(), REPORT_EVERY_S)
            except asyncio.TimeoutError:
                pass
            if watching.done():
                watching = asyncio.create_task(watch())


def main():
    parser = argparse.ArgumentParser(description="A small Headwater node.")
    parser.add_argument("--nats", required=True, help="nats://user:password@host:port")
    parser.add_argument("--prefix", default="cfg")
    parser.add_argument("--node", required=True, help="the id under which the node was enrolled")
    parser.add_argument("--dir", required=True, help="the node's folder")
    parser.add_argument("--trust", required=True, help="the public key that records must be signed with, in hex")
    arguments = parser.parse_args()
    asyncio.run(Node(arguments).run(arguments.nats))


if __name__ == "__main__":
    main()
