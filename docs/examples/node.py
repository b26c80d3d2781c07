#!/usr/bin/env python3
"""A small Headwater node, written from docs/how-to/write-a-node.md and docs/reference/nats.md alone.

It makes its own keys, connects with one, hears its desired record, verifies it with a pinned key, writes the files, switches to them at once,
and signs its reports. It has no hooks, no repair of drift and no jobs, and it is meant to be read. Needs the Python packages nats-py, nkeys,
msgpack and cryptography.

    node.py key --dir /tmp/node-9
    node.py run --dir /tmp/node-9 --nats nats://127.0.0.1:4222 --node node-9 --trust <public key in hex>
"""

import argparse
import asyncio
import base64
import datetime
import hashlib
import json
import os
import pathlib
import secrets
import shutil
import struct
import uuid

import msgpack
import nats
import nats.errors
import nkeys
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from nats.js.errors import NotFoundError

FORMAT = 1
# In format 2 of a desired record an entry may have a mode.
DESIRED_FORMAT = 2
REPORT_EVERY_S = 10
SIGNATURE = "Headwater-Signature"
REPORT = b"hw1/report"
# NATS is away, is too slow, or does not have what was asked for: all of it is tried again.
NATS_ERRORS = (nats.errors.Error, asyncio.TimeoutError)


class Refused(Exception):
    """A record that this node does not apply. The first argument is the stable code."""


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read(message, newest=FORMAT):
    """One MessagePack map in a format that this program knows."""
    try:
        record = msgpack.unpackb(message)
        is_newer = record["v"] > newest
    except (ValueError, TypeError, KeyError) as error:
        raise Refused("damaged_record", repr(error)) from None
    if is_newer:
        raise Refused("newer_format", f"format {record['v']} is newer than this program")
    return record


def check_path(path):
    parts = path.split("/")
    if path.startswith("/") or any(part in ("", ".", "..") for part in parts) or "\\" in path or "\0" in path:
        raise Refused("invalid_path", path)


def write(path, content, mode=0o666):
    """Writes a file that is whole after a power cut, too."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path):
    """Makes the names in a folder durable."""
    folder = os.open(path, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def replace(path, content, mode=0o666):
    """Replaces a file as a whole, so that a crash leaves the old one or the new one."""
    new = path.with_name(path.name + ".new")
    write(new, content, mode)
    new.rename(path)
    sync_folder(path.parent)


def is_executable(entry):
    if entry.get("mode", "644") not in ("644", "755"):
        raise Refused("damaged_record", f"mode {entry['mode']}")
    return entry.get("mode") == "755"


def digest_of(entries):
    hasher = hashlib.sha256()
    for entry in entries:
        path = entry["path"].encode()
        hasher.update(struct.pack(">I", len(path)) + path + entry["digest"] + (b"\1" if is_executable(entry) else b""))
    return hasher.digest()


class ObjectSecret:
    """The name and the key of a content's object, which follow from the content's digest and the log's id."""

    def __init__(self, log_id, digest):
        self.log_id, self.digest = log_id, digest

    def derived(self, context):
        return HKDF(SHA256(), 32, salt=self.log_id.encode(), info=context).derive(self.digest)

    def name(self):
        return base64.urlsafe_b64encode(self.derived(b"hw1/object-name")).decode().rstrip("=")

    def decrypt(self, ciphertext):
        # 16 zero bytes: the number of the first block and the nonce. A key belongs to one content.
        cipher = Cipher(algorithms.ChaCha20(self.derived(b"hw1/object-key"), bytes(16)), mode=None)
        return cipher.decryptor().update(ciphertext)


class Identity:
    """The keys of the node, derived from a secret that never leaves its folder."""

    def __init__(self, folder):
        file = folder / "node.seed"
        if not file.exists():
            folder.mkdir(parents=True, exist_ok=True)
            replace(file, secrets.token_hex(32).encode(), 0o600)
        self.seed = bytes.fromhex(file.read_text())

    def derived(self, name):
        return HKDF(SHA256(), 32, salt=None, info=f"hw1/key/{name}".encode()).derive(self.seed)

    def key(self, name):
        return Ed25519PrivateKey.from_private_bytes(self.derived(name))

    def public(self):
        """The public keys, as `enrol_node` wants them."""
        return {name: self.key(name).public_key().public_bytes_raw().hex() for name in ("bus", "say")}

    def bus_seed(self):
        """The seed of the key that connects, in the text form of NATS."""
        return nkeys.encode_seed(self.derived("bus"), nkeys.PREFIX_BYTE_USER).decode()

    def sign(self, context, message):
        return self.key("say").sign(context + b"\0" + message).hex()

    def has_signed(self, context, message, signature):
        # Ed25519 gives one signature for a key and a message.
        return signature == self.sign(context, message)


class Node:
    def __init__(self, arguments):
        self.id, self.prefix = arguments.node, arguments.prefix
        self.dir = pathlib.Path(arguments.dir).absolute()
        self.key = bytes.fromhex(arguments.trust)
        self.identity = Identity(self.dir)
        self.boot, self.seq, self.attempt = str(uuid.uuid4()), 0, None
        (self.dir / "generations").mkdir(parents=True, exist_ok=True)
        self.state = {"log_id": None, "floor": None, "running": None, "boot_no": 0}
        if (self.dir / "state.json").exists():
            self.state = json.loads((self.dir / "state.json").read_text())

    def save(self):
        replace(self.dir / "state.json", json.dumps(self.state).encode())

    def subject(self, bucket):
        return f"$KV.{self.prefix}_{bucket}.{self.id}"

    async def read_key(self, bucket):
        """The node's key in a bucket, read directly: a node may make no consumer and ask for no stream's state."""
        return await self.js.get_msg(f"KV_{self.prefix}_{bucket}", subject=self.subject(bucket), direct=True)

    # The five checks of docs/reference/nats.md, in their order.

    def open(self, message):
        signed = read(message)
        if signed.get("key_id") != hashlib.sha256(self.key).digest():
            raise Refused("bad_signature", "another key signed it")
        try:
            Ed25519PublicKey.from_public_bytes(self.key).verify(signed["sig"], signed["body"])
        except (InvalidSignature, KeyError, TypeError):
            raise Refused("bad_signature", "the signature is wrong") from None
        record = read(signed["body"], DESIRED_FORMAT)
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
            content = await self.fetch(entry)
        if len(content) != entry["size"] or hashlib.sha256(content).digest() != entry["digest"]:
            raise Refused("wrong_blob", entry["path"])
        return content

    async def fetch(self, entry):
        """Content from the object store: its ciphertext, or what a server from before objects were encrypted put there."""
        secret = ObjectSecret(self.state["log_id"], entry["digest"])
        try:
            return secret.decrypt(await self.read_object(secret.name(), entry["size"]))
        except NotFoundError:
            return await self.read_object(entry["digest"].hex(), entry["size"])

    async def read_object(self, name, size):
        """Reads an object of NATS's object store: its description, and then its chunks one after the other."""
        stream, subjects = f"OBJ_{self.prefix}_blobs", f"$O.{self.prefix}_blobs"
        name = base64.urlsafe_b64encode(name.encode()).decode()
        meta = await self.js.get_msg(stream, subject=f"{subjects}.M.{name}", direct=True)
        try:
            chunks = f"{subjects}.C.{json.loads(meta.data)['nuid']}"
        except (ValueError, TypeError, KeyError) as error:
            raise Refused("wrong_blob", repr(error)) from None
        content, at = b"", 0
        while len(content) < size:
            chunk = await self.js.get_msg(stream, seq=at + 1, subject=chunks, next=True, direct=True)
            content, at = content + (chunk.data or b""), chunk.seq
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
            write(place, await self.content(entry), 0o777 if is_executable(entry) else 0o666)
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

    async def count_boot(self):
        """Counts this start, above the last report that NATS has of the node: the folder may be older than that report."""
        last = 0
        try:
            report = await self.read_key("reported")
            if self.identity.has_signed(REPORT, report.data or b"", report.headers.get(SIGNATURE)):
                last = msgpack.unpackb(report.data)["boot_no"]
        except NotFoundError:
            pass
        self.state["boot_no"] = max(self.state["boot_no"], last) + 1
        self.save()

    async def turn(self, done):
        """Applies the newest record, unless the node is done with it, and reports. Returns the record that it is done with."""
        if self.seq == 0:
            await self.count_boot()
        try:
            message = (await self.read_key("desired")).data
            if message and message != done and await self.apply(message):
                done = message
        except NotFoundError:
            pass  # There is no record yet: it comes soon after the node was enrolled.
        report = self.report()
        headers = {SIGNATURE: self.identity.sign(REPORT, report)}
        await self.js.publish(self.subject("reported"), report, headers=headers)
        return done

    async def connect(self, url, wake):
        """Connects, and goes on trying for ever. What is heard or a new connection wakes the node, which then reads its record."""

        async def heard(_message=None):
            wake.set()

        async def failed(error):
            print(f"NATS does not let the node in, or does not answer; it is tried again: {error!r}", flush=True)

        connection = await nats.connect(
            url, name=f"node.py {self.id}", nkeys_seed_str=self.identity.bus_seed(), inbox_prefix=f"_INBOX_{self.id}",
            max_reconnect_attempts=-1, reconnected_cb=heard, error_cb=failed,
        )
        await connection.subscribe(self.subject("desired"), cb=heard)
        self.js = connection.jetstream()
        return connection

    async def run(self, url):
        wake, connection, done = asyncio.Event(), None, None
        while True:
            wake.clear()
            try:
                if connection is None or connection.is_closed:  # nats-py gives up after some errors.
                    connection = await self.connect(url, wake)
                done = await self.turn(done)
            except NATS_ERRORS as error:
                print(f"NATS does not answer, so this is tried again: {error!r}", flush=True)
            try:
                await asyncio.wait_for(wake.wait(), REPORT_EVERY_S)
            except asyncio.TimeoutError:
                pass


def main():
    parser = argparse.ArgumentParser(description="A small Headwater node.")
    commands = parser.add_subparsers(dest="command", required=True)
    key = commands.add_parser("key", help="print the node's public keys, which are made first if there are none")
    run = commands.add_parser("run", help="run the node")
    for command in (key, run):
        command.add_argument("--dir", required=True, help="the node's folder")
    run.add_argument("--nats", required=True, help="nats://host:port")
    run.add_argument("--prefix", default="cfg")
    run.add_argument("--node", required=True, help="the id under which the node was enrolled with its keys")
    run.add_argument("--trust", required=True, help="the public key that records must be signed with, in hex")
    arguments = parser.parse_args()
    if arguments.command == "key":
        print(json.dumps(Identity(pathlib.Path(arguments.dir)).public()))
    else:
        asyncio.run(Node(arguments).run(arguments.nats))


if __name__ == "__main__":
    main()
