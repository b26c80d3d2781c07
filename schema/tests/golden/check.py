"""Checks the golden vectors with nothing of Headwater: MessagePack and ChaCha20 by hand, SHA-256 of the standard library.

An auditor who trusts no Rust can start here. Every number is written in its shortest form, text as str, digests, keys
and signatures as bin. Prints one line for each vector and ends with 1 at the first that differs.

With `--add` it writes the vectors of a JSON file that has none yet, and prints each, so that an event's leaf can be put into
its JSON. A vector that is there is never written again.
"""

import base64
import hashlib
import hmac
import json
import pathlib
import struct
import sys

BIN_HEX = {"digest", "leaf", "key_id", "sig", "body", "key", "inline", "token", "spec_digest", "content"}


def framed(small, small_max, wide, length):
    """The head of a text, a list or a map: in the tag itself, or as 1, 2 or 4 bytes behind a tag of its own."""
    if length <= small_max:
        return bytes([small | length])
    for tag, form, limit in wide:
        if length < limit:
            return struct.pack(form, tag, length)
    raise ValueError("too long")


def pack(value):
    if value is None:
        return b"\xc0"
    if value is True or value is False:
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        wide = [(0xCC, ">BB", 1 << 8), (0xCD, ">BH", 1 << 16), (0xCE, ">BI", 1 << 32), (0xCF, ">BQ", 1 << 64)]
        return framed(0x00, 127, wide, value)
    if isinstance(value, bytes):
        return framed(0, -1, [(0xC4, ">BB", 1 << 8), (0xC5, ">BH", 1 << 16), (0xC6, ">BI", 1 << 32)], len(value)) + value
    if isinstance(value, str):
        text = value.encode()
        return framed(0xA0, 31, [(0xD9, ">BB", 1 << 8), (0xDA, ">BH", 1 << 16), (0xDB, ">BI", 1 << 32)], len(text)) + text
    if isinstance(value, list):
        return framed(0x90, 15, [(0xDC, ">BH", 1 << 16)], len(value)) + b"".join(map(pack, value))
    pairs = b"".join(pack(key) + pack(member) for key, member in value.items())
    return framed(0x80, 15, [(0xDE, ">BH", 1 << 16)], len(value)) + pairs


def binary(value):
    """The JSON as it goes on the wire: what is hex for people, or a list of bytes, is bin there."""
    if isinstance(value, list):
        return [binary(item) for item in value]
    if not isinstance(value, dict):
        return value
    bin_of = lambda item: bytes.fromhex(item) if isinstance(item, str) else bytes(item)
    return {key: bin_of(item) if key in BIN_HEX and item is not None else binary(item) for key, item in value.items()}


def sha256(data):
    return hashlib.sha256(data).digest()


def entry(event):
    fields = "v log_id position event_id command_id ordinal count entity version type actor at".split()
    texts = [event["reason"] or "", event["data"]]
    return pack([event[field] for field in fields] + [sha256(text.encode()) for text in texts])


def manifest(record):
    """What names the files of a record: the byte 1 stands behind one that is executable."""
    executable = lambda item: b"\x01" if item.get("mode") == "755" else b""
    parts = [(item["path"].encode(), bytes.fromhex(item["digest"]) + executable(item)) for item in record["entries"]]
    return sha256(b"".join(struct.pack(">I", len(path)) + path + rest for path, rest in parts))


def claims(jobs):
    """What names the jobs that a node has."""
    texts = [(job["id"].encode(), bytes.fromhex(job["token"] + job["spec_digest"])) for job in jobs]
    return sha256(b"".join(struct.pack(">I", len(text)) + text + proof for text, proof in texts))


def hkdf(log_id, digest, info):
    """HKDF-SHA256 (RFC 5869) for one block of output."""
    secret = hmac.digest(log_id.encode(), digest, "sha256")
    return hmac.digest(secret, info + b"\x01", "sha256")


def chacha20(key, text):
    """RFC 8439 with nonce zero, from block zero on."""
    ciphertext = b""
    for block in range((len(text) + 63) // 64):
        start = list(struct.unpack("<16I", b"expand 32-byte k" + key + struct.pack("<4I", block, 0, 0, 0)))
        state = start[:]

        def quarter(a, b, c, d):
            for into, other, turned, by in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)]:
                state[into] = (state[into] + state[other]) & 0xFFFFFFFF
                mixed = state[turned] ^ state[into]
                state[turned] = (mixed << by | mixed >> 32 - by) & 0xFFFFFFFF

        for _ in range(10):
            for column in range(4):
                quarter(column, column + 4, column + 8, column + 12)
            for column in range(4):
                quarter(column, 4 + (column + 1) % 4, 8 + (column + 2) % 4, 12 + (column + 3) % 4)
        stream = struct.pack("<16I", *[(mixed + first) & 0xFFFFFFFF for mixed, first in zip(state, start)])
        ciphertext += bytes(one ^ other for one, other in zip(text[64 * block:], stream))
    return ciphertext


def objects(source):
    """The name, the ciphertext and the mark of the object of a content."""
    log_id, content = source["log_id"], source["content"].encode()
    digest = sha256(content)
    name = base64.urlsafe_b64encode(hkdf(log_id, digest, b"hw1/object-name")).rstrip(b"=")
    ciphertext = chacha20(hkdf(log_id, digest, b"hw1/object-key"), content)
    mark = hkdf(log_id, digest, b"hw1/object-mark\x00" + sha256(ciphertext))
    return [("name", name), ("ciphertext", ciphertext), ("mark", mark)]


def plan(said):
    """The bytes of a request's plan: an array, whose digests are bin."""
    digest = lambda text: None if text is None else bytes.fromhex(text)
    state = lambda file: None if file is None else [digest(file["digest"]), file["mode"]]
    events = [[each["event_type"], each["entity"], each["version"], digest(each["data"])] for each in said["events"]]
    files = lambda node: [[each["path"], state(each["before"]), state(each["after"])] for each in node["files"]]
    changed = lambda nodes: [[each["node"], files(each), each["retired"], each["may_retry"]] for each in nodes]
    jobs = [[each["job"], digest(each["before"]), digest(each["after"])] for each in said["jobs"]]
    rollouts = [[each["rollout"], changed(each["nodes"])] for each in said.get("rollouts", [])]
    return pack([2 if rollouts else 1, events, changed(said["nodes"]), jobs, rollouts])


def vectors(folder):
    """Each golden file with the bytes that it must hold."""
    for source in sorted(folder.glob("events/*.json")):
        event = json.loads(source.read_text())
        leaf = sha256(b"\x00" + entry(event))
        yield source.with_suffix(".entry.hex"), entry(event)
        yield source.with_suffix(".leaf.hex"), leaf
        yield source.with_suffix(".record.hex"), pack(binary(event | {"leaf": leaf.hex()}))
    for source in sorted(folder.glob("records/*.json")):
        record = json.loads(source.read_text())
        yield source.with_suffix(".record.hex"), pack(binary(record))
        if "entries" in record:
            yield source.with_suffix(".digest.hex"), manifest(record)
        if "jobs" in (record.get("result") or {}):
            yield source.with_suffix(".digest.hex"), claims(record["result"]["jobs"])
    for source in sorted(folder.glob("plans/*.json")):
        bytes_of_plan = plan(json.loads(source.read_text()))
        yield source.with_suffix(".plan.hex"), bytes_of_plan
        yield source.with_suffix(".digest.hex"), sha256(bytes_of_plan)
    for source in sorted(folder.glob("objects/*.json")):
        for what, computed in objects(json.loads(source.read_text())):
            yield source.with_suffix(f".{what}.hex"), computed


def main():
    for path, computed in vectors(pathlib.Path(__file__).parent):
        if "--add" in sys.argv and not path.exists():
            path.write_text(computed.hex() + "\n")
            print(f"{path.name} is new: {computed.hex()}")
        if computed.hex() != "".join(path.read_text().split()):
            sys.exit(f"{path.name} differs: computed {computed.hex()}")
        print(f"{path.name} agrees")


if __name__ == "__main__":
    main()
