"""Verifies exports of a Headwater log with nothing of Headwater, from what FORMAT.md says: Python's standard library, and
`cryptography` for Ed25519.

    python3 verify.py [--trust KEY] [--json] FILE…

Prints what the log comes to (with --json also each node's and each job's digest) and ends with 0, or names the first thing
that is wrong and ends with 1. Ends with 2 if it is called wrongly or `cryptography` is not there: nothing is left out.
"""

import base64
import bisect
import copy
import datetime
import hashlib
import json
import re
import struct
import sys
import uuid
import zlib

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:
    sys.stderr.write("the package `cryptography` is missing: signatures can't be checked without it\n")
    sys.exit(2)

MAGIC = b"\x89HWLOG\r\n"
RAW_MAX = 4 * 1024 * 1024 + 64 * 1024
HEADER, BLOBS, EVENTS, CHECKPOINTS, END = 1, 2, 3, 4, 5
# The newest format of each type's data, where that is not 1.
# A principal, or one of the other actors that this page knows; another kind is newer.
ACTOR = re.compile("[^/]+|(node|join)/[^/]+|system/(install|reconciler|recovery)")
# What stands in a digest behind the content of a file of this mode.
MODES = {"644": b"", "755": b"\1"}
NEWEST_FORMATS = {"ReportChanged": 3, "NodeEnrolled": 2, "DocumentPut": 3}
OWNED = ("document", "node", "control", "component", "assessment", "attestation")
COLUMNS = "v position event_id command_id ordinal count entity version type actor reason at data leaf".split()
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
EPOCH = datetime.datetime(1970, 1, 1)


class Wrong(Exception):
    """The first thing that is wrong: where, what was expected and what was found."""

    def __init__(self, position, code, expected, found):
        super().__init__(f"at position {position}: {code}: expected {expected}, found {found}")
        self.position, self.code = position, code


class Damaged(Exception):
    """Bytes that are no part of an export."""


def sha256(data):
    return hashlib.sha256(data).digest()


# --- MessagePack --------------------------------------------------------------------------------------------


def head(small, small_max, wide, length):
    """In the tag itself, or as 1, 2, 4 or 8 bytes behind a tag of its own."""
    if length <= small_max:
        return bytes([small | length])
    for tag, form, limit in wide:
        if length < limit:
            return struct.pack(form, tag, length)
    raise ValueError("too long")


def pack(value):
    """Whatever a leaf's entry or a plan is made of, in its shortest form."""
    if value is None or isinstance(value, bool):
        return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value]
    if isinstance(value, int):
        wide = [(0xCC, ">BB", 1 << 8), (0xCD, ">BH", 1 << 16), (0xCE, ">BI", 1 << 32), (0xCF, ">BQ", 1 << 64)]
        return head(0x00, 127, wide, value)
    if isinstance(value, bytes):
        return head(0, -1, [(0xC4, ">BB", 1 << 8), (0xC5, ">BH", 1 << 16), (0xC6, ">BI", 1 << 32)], len(value)) + value
    if isinstance(value, str):
        text = value.encode()
        return head(0xA0, 31, [(0xD9, ">BB", 1 << 8), (0xDA, ">BH", 1 << 16), (0xDB, ">BI", 1 << 32)], len(text)) + text
    return head(0x90, 15, [(0xDC, ">BH", 1 << 16), (0xDD, ">BI", 1 << 32)], len(value)) + b"".join(map(pack, value))


INTEGERS = {0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
LENGTHS = {
    0xC4: (">B", bytes), 0xC5: (">H", bytes), 0xC6: (">I", bytes),
    0xD9: (">B", str), 0xDA: (">H", str), 0xDB: (">I", str),
    0xDC: (">H", list), 0xDD: (">I", list), 0xDE: (">H", dict), 0xDF: (">I", dict),
}


class Unpacker:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        part = self.data[self.at : self.at + count]
        if len(part) != count:
            raise Damaged("MessagePack ends too early")
        self.at += count
        return part

    def number(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def value(self):
        tag = self.take(1)[0]
        if tag < 0x80:
            return tag
        if tag >= 0xE0:
            return tag - 0x100
        if tag in INTEGERS:
            return self.number(INTEGERS[tag])
        if tag in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[tag]
        if tag < 0x90:
            kind, length = dict, tag & 0x0F
        elif tag < 0xA0:
            kind, length = list, tag & 0x0F
        elif tag < 0xC0:
            kind, length = str, tag & 0x1F
        elif tag in LENGTHS:
            form, kind = LENGTHS[tag]
            length = self.number(form)
        else:
            raise Damaged(f"MessagePack of an unknown sort: {tag:#x}")
        if kind is bytes:
            return self.take(length)
        if kind is str:
            return self.take(length).decode()
        if kind is list:
            return [self.value() for _ in range(length)]
        return {self.value(): self.value() for _ in range(length)}


def unpack(data):
    unpacker = Unpacker(data)
    value = unpacker.value()
    if unpacker.at != len(data) or not isinstance(value, dict):
        raise Damaged("a block is one MessagePack map")
    return value


# --- the file -----------------------------------------------------------------------------------------------


class File:
    """Blocks, and the digest of all that was read."""

    def __init__(self, path):
        self.file, self.hash, self.offset = open(path, "rb"), hashlib.sha256(), 0
        if self.read(8) != MAGIC or self.number(">H") != 1:
            raise Damaged("this is no export of format 1")

    def read(self, count, is_hashed=True):
        data = self.file.read(count)
        if len(data) != count:
            raise Damaged(f"the file is cut at byte {self.offset + len(data)}")
        self.offset += count
        if is_hashed:
            self.hash.update(data)
        return data

    def number(self, form):
        return struct.unpack(form, self.read(struct.calcsize(form)))[0]

    def blocks(self):
        """Every block but the last, as its kind and its map."""
        while True:
            offset = self.offset
            kind, stored, raw = self.number(">B"), self.number(">I"), self.number(">I")
            if kind == END:
                if (stored, raw) != (32, 32):
                    raise Damaged("the file's end is none")
                computed, written = self.hash.digest(), self.read(32, is_hashed=False)
                if computed != written:
                    raise Damaged(f"the file's digest is {written.hex()}, that of its bytes {computed.hex()}")
                if self.file.read(1):
                    raise Damaged("something follows behind the file's end")
                return
            if kind not in (HEADER, BLOBS, EVENTS, CHECKPOINTS) or raw > RAW_MAX or stored > 2 * RAW_MAX:
                raise Damaged(f"at byte {offset}: no such block")
            packed = self.read(stored)
            inflater = zlib.decompressobj()
            try:
                data = inflater.decompress(packed, raw + 1)
                if not inflater.eof or inflater.unused_data or len(data) != raw:
                    raise Damaged(f"at byte {offset}: the block has another length")
                yield kind, unpack(data)
            except (zlib.error, UnicodeDecodeError, TypeError) as error:
                raise Damaged(f"at byte {offset}: {error}") from error


# --- leaf, tree, checkpoint ---------------------------------------------------------------------------------


def time_of(micros):
    return (EPOCH + datetime.timedelta(microseconds=micros)).isoformat(timespec="microseconds") + "Z"


def leaf_of(log_id, event):
    items = [
        event["v"], log_id, event["position"], str(uuid.UUID(bytes=event["event_id"])),
        str(uuid.UUID(bytes=event["command_id"])), event["ordinal"], event["count"], event["entity"], event["version"],
        event["type"], event["actor"], time_of(event["at"]), sha256(event["reason"].encode()), sha256(event["data"].encode()),
    ]
    return sha256(b"\x00" + pack(items))


def node(left, right):
    return sha256(b"\x01" + left + right)


class Tree:
    def __init__(self):
        self.size, self.edge = 0, []

    def push(self, leaf):
        self.edge.append(leaf)
        size = self.size
        while size & 1:
            right, left = self.edge.pop(), self.edge.pop()
            self.edge.append(node(left, right))
            size >>= 1
        self.size += 1

    def root(self):
        if not self.edge:
            return sha256(b"")
        root = self.edge[-1]
        for left in reversed(self.edge[:-1]):
            root = node(left, root)
        return root


def read_checkpoint(note, log_id, key):
    """The size and the root that a note says, if the key signed it."""
    text, separator, signatures = note.partition("\n\n")
    lines = text.split("\n")
    name = f"headwater/{log_id}"
    if not separator or len(lines) != 3 or lines[0] != name or not re.fullmatch(r"0|[1-9][0-9]*", lines[1]):
        raise ValueError("it is no checkpoint of this log")
    size, root = int(lines[1]), base64.b64decode(lines[2], validate=True)
    if len(root) != 32 or base64.b64encode(root).decode() != lines[2] or not signatures.endswith("\n"):
        raise ValueError("its root is none")
    key_id = sha256(name.encode() + b"\n\x01" + key)[:4]
    for line in signatures[:-1].split("\n"):
        dash, signer, encoded = (line.split(" ") + ["", ""])[:3]
        signature = base64.b64decode(encoded, validate=True)
        if dash != "\u2014" or base64.b64encode(signature).decode() != encoded:
            raise ValueError("a signature is none")
        if signer == name and signature[:4] == key_id:
            Ed25519PublicKey.from_public_bytes(key).verify(signature[4:], (text + "\n").encode())
            return size, root
    raise ValueError("it is not signed by the log's key")


# --- what events do -----------------------------------------------------------------------------------------


def job_id(attestation):
    digest = bytearray(sha256(b"headwater/job" + attestation.encode())[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(digest)))


def proposal_id(node, number):
    digest = bytearray(sha256(b"headwater/proposal" + node.encode() + b"\0" + uuid.UUID(number).bytes)[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(digest)))


def document_of(proposal):
    """The id of the document that is made of a proposal."""
    return "proposed-" + sha256(proposal["node"].encode() + b"\0" + proposal["path"].encode()).hex()[:32]


def only(said, names):
    return {name: said[name] for name in names.split() if name in said}


class State:
    """What there is, as far as references and what nodes must hold need it."""

    def __init__(self):
        self.there = {kind: {} for kind in ("document", "node", "control", "component", "assessment", "attestation", "join_token", "bundle")}
        self.retired, self.claims = set(), {}
        # Proposals by id, the ids of the open ones, and the one that the event before this one accepted.
        self.proposals, self.open, self.accepted = {}, [], None
        # The bundle of each entity that has one.
        self.owner = {}
        # The rollouts that have not ended, and the ids of all that ever were.
        self.rollouts, self.rollout_ids = {}, set()

    def demand(self, holds, what):
        if not holds:
            raise LookupError(what)

    def takes_part(self, name):
        self.demand(name in self.there["node"] and name not in self.retired, f"node/{name} to take part")

    def is_there(self, kind, name):
        self.demand(name in self.there[kind], f"{kind}/{name} to be there")

    def rollout_of(self, document):
        """The rollout that changes a document; none if no rollout does."""
        return next((rollout for rollout in self.rollouts.values() if document in rollout["changes"]), None)

    def users(self, kind, name):
        if kind == "control":
            of = [said["controls"] for said in self.there["component"].values()]
            of += [[said["control"]] for said in self.there["assessment"].values()]
        elif kind == "component":
            of = [said.get("components") or [] for said in self.there["assessment"].values()]
        elif kind == "assessment":
            of = [[said["assessment"]] for said in self.there["attestation"].values()]
        else:
            of = []
        return any(name in names for names in of)

    def jobs(self):
        return {job_id(attestation): attestation for attestation in self.there["attestation"]}

    def fold(self, kind, name, what, said, is_first=True):
        accepted, self.accepted = None if is_first else self.accepted, None
        if what in ("DocumentPut", "DocumentStaged") and said.get("mode", "644") not in MODES:
            raise ValueError(f"mode {said['mode']}")
        if what == "DocumentPut" and "proposal" in said:
            self.demand(accepted == said["proposal"], "the acceptance of `proposal` to be the event before")
            proposal = self.proposals[accepted]
            made = only(proposal, "path media_type digest size") | {"target": {"nodes": [proposal["node"]]}}
            self.demand(name == document_of(proposal) and only(said, " ".join(made)) == made, "the file that was proposed")
        if what == "DocumentPut":
            rollout = self.rollout_of(name)
            self.demand(not rollout or rollout["status"] == "draft", "a document that no started rollout changes")
        if what in ("DocumentPut", "ControlDefined", "ComponentDefined", "AssessmentDefined", "AttestationDefined"):
            for control in said["controls"] if what == "ComponentDefined" else []:
                self.is_there("control", control)
            if what == "AssessmentDefined":
                self.is_there("control", said["control"])
                for component in said.get("components") or []:
                    self.is_there("component", component)
            if what == "AttestationDefined":
                self.is_there("assessment", said["assessment"])
            self.there[kind][name] = said
        elif what in ("DocumentRemoved", "ControlRemoved", "ComponentRemoved", "AssessmentRemoved", "AttestationRemoved"):
            self.is_there(kind, name)
            self.demand(not self.users(kind, name), f"nobody to refer to {kind}/{name}")
            del self.there[kind][name]
            self.owner.pop(f"{kind}/{name}", None)
            self.claims.pop(job_id(name), None) if kind == "attestation" else None
        elif what in ("NodeEnrolled", "NodeLabelled"):
            self.takes_part(name) if what == "NodeLabelled" else None
            self.there["node"][name] = said["labels"]
            self.retired.discard(name)
        elif what in ("NodeRetired", "NodeRetried", "NodeKeysSet", "ClaimRenewed"):
            self.takes_part(name)
            if what == "NodeRetired":
                self.demand(not any(self.proposals[id]["node"] == name for id in self.open), "no open proposal of the node")
                made = [id for id, said in self.there["document"].items() if "proposal" in said and said["target"] == {"nodes": [name]}]
                self.demand(not made, "no document that was made of a proposal of the node")
                self.retired.add(name)
                for rollout in self.rollouts.values():
                    rollout["released"].discard(name)
                self.claims = {job: claim for job, claim in self.claims.items() if claim[0] != name}
        elif what == "JobClaimed":
            self.demand(name in self.jobs(), f"job/{name} to be there")
            self.takes_part(said["runtime"])
            self.claims[name] = (said["runtime"], said["token"])
        elif what in ("JobReleased", "JobCompleted", "ClaimExpired"):
            current = self.claims.get(name)
            self.demand(current == (said["runtime"], said["token"]), f"the current claim on job/{name}")
            if what != "JobCompleted":
                del self.claims[name]
        elif what in ("NodeBarred", "NodeDismissed", "JoinTokenUsed", "JoinTokenRevoked"):
            self.is_there(kind, name)
        elif what == "JoinTokenCreated":
            self.there[kind][name] = said
        elif what == "BundleAssigned":
            joined, left = said["joined"], said["left"]
            self.demand(len({*joined, *left}) == len(joined) + len(left), "each entity once")
            for entity in left:
                self.demand(self.owner.get(entity) == name, f"{entity} to belong to the bundle")
            for entity in joined:
                of, _, member = entity.partition("/")
                self.demand(of in OWNED and entity not in self.owner, f"{entity} to belong to no bundle")
                if of != "document" or not self.rollout_of(member):
                    self.is_there(of, member)
            self.owner = {entity: owner for entity, owner in self.owner.items() if entity not in left}
            self.owner |= dict.fromkeys(joined, name)
            self.there[kind][name] = said
        elif what == "BundleRemoved":
            self.is_there(kind, name)
            del self.there[kind][name]
            self.owner = {entity: owner for entity, owner in self.owner.items() if owner != name}
        elif what == "Proposed":
            self.takes_part(said["node"])
            self.demand(name == proposal_id(said["node"], said["uuid"]), "the id that follows from `node` and `uuid`")
            self.demand(name not in self.proposals, "a proposal that was not made before")
            self.proposals[name] = said
            self.open.append(name)
        elif what in ("ProposalAccepted", "ProposalRejected", "ProposalSuperseded", "ProposalWithdrawn"):
            self.demand(name in self.open and self.proposals[name]["node"] == said["node"], "an open proposal of `node`")
            if what == "ProposalAccepted":
                self.demand(said["document"] == document_of(self.proposals[name]), "the document that follows from the proposal")
                self.accepted = name
            if what == "ProposalSuperseded":
                self.demand(said["by"] in self.open[self.open.index(name) + 1 :], "`by` to be a newer open proposal")
                older, newer = self.proposals[name], self.proposals[said["by"]]
                self.demand(only(older, "node path") == only(newer, "node path"), "`by` to be of the node for the path")
            self.open.remove(name)
        elif what in ("DocumentStaged", "RemovalStaged") or kind == "rollout":
            self.roll_out(name, what, said)
        elif what == "GuardSet":
            self.demand(name == "fleet", "the guard of the log, guard/fleet")
        elif what == "LogBegun":
            for rollout in self.rollouts.values():
                rollout["status"] = "paused" if rollout["status"] == "running" else rollout["status"]
        elif what not in ("PrincipalCreated", "PrincipalRevoked", "ReportChanged", "BusClosed", "Marked", "PlanKept"):
            raise LookupError("a type that is known")

    def roll_out(self, name, what, said):
        if what == "RolloutOpened":
            self.demand(name not in self.rollout_ids, "a rollout that never was")
            self.demand(said["stages"] and said["stages"][-1]["name"] == "rest", "`rest` as the last stage")
            stages = [stage["name"] for stage in said["stages"]]
            self.demand(len(set(stages)) == len(stages), "each stage under a name of its own")
            self.rollouts[name] = {"stages": stages, "status": "draft", "stage": -1, "changes": {}, "released": set()}
            self.rollout_ids.add(name)
            return
        if what in ("DocumentStaged", "RemovalStaged"):
            if what == "RemovalStaged":
                self.is_there("document", name)
            rollout = self.rollouts.get(said["rollout"])
            self.demand(rollout and rollout["status"] == "draft", "a rollout that is a draft")
            self.demand(self.rollout_of(name) in (None, rollout), "a document that no other rollout changes")
            put = {key: value for key, value in said.items() if key != "rollout"}
            rollout["changes"][name] = put if what == "DocumentStaged" else None
            return
        rollout = self.rollouts.get(name)
        self.demand(rollout, "a rollout that is open")
        is_draft, stages = rollout["status"] == "draft", rollout["stages"]
        if what == "RolloutStarted":
            self.demand(is_draft and rollout["changes"], "a draft with changes")
            rollout["status"] = "running"
            return
        if what == "RolloutAborted":
            del self.rollouts[name]
            self.leave_bundles(rollout)
            return
        self.demand(not is_draft, "a rollout that was started")
        if what == "StageOpened":
            following = stages[rollout["stage"] + 1 :][:1]
            self.demand(following == [said["stage"]], "the stage after the one that is open")
            rollout["stage"] += 1
        elif what in ("StageApproved", "StagePassed", "NodesReleased"):
            self.demand(rollout["stage"] >= 0 and stages[rollout["stage"]] == said["stage"], "the stage that is open")
        if what == "NodesReleased":
            self.demand(rollout["status"] == "running", "a rollout that is running")
            nodes = [node["id"] for node in said["nodes"]] + said["moot"]
            self.demand(len(set(nodes)) == len(nodes), "each node once")
            for node in nodes:
                self.takes_part(node)
                self.demand(self.is_member(rollout, node) and node not in rollout["released"], "nodes that its changes are for, and that it has not released")
            rollout["released"] |= set(nodes)
        elif what == "NodesExpected":
            nodes = [node["id"] for node in said["nodes"]] + said["shadowed"]
            self.demand(rollout["released"].issuperset(nodes), "nodes that it has released")
        elif what == "NodesOverdue":
            self.demand(rollout["released"].issuperset(said["late"] + said["lost"]), "nodes that it has released")
        elif what in ("RolloutPaused", "RolloutResumed", "RolloutHalted"):
            rollout["status"] = {"RolloutPaused": "paused", "RolloutResumed": "running", "RolloutHalted": "halted"}[what]
        elif what in ("RolloutPromoted", "RolloutCompleted"):
            self.demand(rollout["stage"] == len(stages) - 1, "the last stage to be open")
            del self.rollouts[name]
            for document, put in rollout["changes"].items():
                if put is None:
                    self.there["document"].pop(document, None)
                else:
                    self.there["document"][document] = put
            self.leave_bundles(rollout)

    def leave_bundles(self, rollout):
        """What an ended rollout left nothing of belongs to no bundle."""
        for document in rollout["changes"].keys() - self.there["document"].keys():
            self.owner.pop(f"document/{document}", None)

    def is_member(self, rollout, name):
        """Whether any change of a rollout is for a node, as it becomes or as it is."""
        labels = self.there["node"][name]
        revisions = [[put, self.there["document"].get(document)] for document, put in rollout["changes"].items()]
        return any(said and targets(said["target"], name, labels) for both in revisions for said in both)

    def entries(self, name):
        """What a node must hold: digest and mode by path."""
        entries = self.files(name)
        for job, claim in self.claims.items():
            if claim[0] == name:
                entries[f"jobs/{job}.json"] = [sha256(self.spec(job)), "644"]
        return entries

    def files(self, name, released_by=None):
        """The documents that a node must hold: digest and mode by path. `released_by` is a rollout that is to have released it."""
        if name in self.retired or name not in self.there["node"]:
            return {}
        best, documents = {}, dict(self.there["document"])
        for rollout_name, rollout in self.rollouts.items():
            if name in rollout["released"] or rollout_name == released_by:
                documents |= rollout["changes"]
        for document, said in documents.items():
            if said is None:
                continue
            if targets(said["target"], name, self.there["node"][name]):
                rank = (said["priority"], document.encode())
                if said["path"] not in best or rank > best[said["path"]][0]:
                    best[said["path"]] = (rank, [bytes.fromhex(said["digest"]), said.get("mode", "644")])
        return {path: file for path, (_, file) in best.items()}

    def digest(self, name):
        hashed = hashlib.sha256()
        for path, (digest, mode) in sorted((path.encode(), file) for path, file in self.entries(name).items()):
            hashed.update(struct.pack(">I", len(path)) + path + digest + MODES[mode])
        return hashed.hexdigest()

    def spec(self, job):
        attestation_id = self.jobs()[job]
        attestation = self.there["attestation"][attestation_id]
        assessment = self.there["assessment"][attestation["assessment"]]
        control = self.there["control"][assessment["control"]]
        named, selector = assessment.get("components"), assessment.get("component_selector")
        components = {
            name: said for name, said in sorted(self.there["component"].items())
            if (name in named if named is not None else fits(selector, said["labels"]))
        }
        subjects = only(attestation["selector"], "query labels ids")
        subjects["expressions"] = [only(each, "key operator values") for each in attestation["selector"]["expressions"]]
        activity = {
            "id": attestation_id, "title": attestation["title"], "selector": subjects,
            "provider": only(attestation["provider"], "name image tag configuration"),
        }
        task = {
            "id": attestation["assessment"], "title": assessment["title"],
            "schedule": attestation.get("schedule") or assessment["schedule"], "activities": [activity],
        }
        spec = {
            "id": job, "title": attestation["title"], "assessment-plan-id": attestation["assessment"],
            "control-id": assessment["control"], "control": only(control, "title class statement parameters labels"),
            "component-ids": list(components),
            "components": [
                {"id": name} | only(said, "title kind controls properties labels") for name, said in components.items()
            ],
            "tasks": [task], "parameters": control["parameters"] | attestation["parameters"],
        }
        return json.dumps(spec, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def fits(selector, labels):
    def one(requirement):
        values, value = requirement.get("values") or [], labels.get(requirement["key"])
        return {
            "In": value in values, "NotIn": value not in values, "Exists": value is not None, "DoesNotExist": value is None,
        }[requirement["operator"]]

    wanted = (selector.get("match_labels") or {}).items()
    return all(labels.get(key) == value for key, value in wanted) and all(map(one, selector.get("match_expressions") or []))


def targets(target, name, labels):
    if target.get("all"):
        return True
    return name in target["nodes"] if "nodes" in target else fits(target, labels)


def plans_of(before, after, events):
    """The digests that a request's plan may have: what its events, without the one about the plan, change between the two states. A request
    that starts a rollout has a second one, which says nothing of that: older programs made it."""
    retried = {event["entity"].split("/", 1)[1] for event in events if event["type"] == "NodeRetried"}

    def changed(name, now):
        was = before.files(name)
        paths = sorted((path for path in was.keys() | now.keys() if was.get(path) != now.get(path)), key=str.encode)
        files = [[path, was.get(path), now.get(path)] for path in paths]
        return [name, files, name in after.retired and name not in before.retired, name in retried]

    names = sorted(after.there["node"], key=str.encode)
    changes = [change for change in (changed(name, after.files(name)) for name in names) if any(change[1:])]
    started = sorted({event["entity"].split("/", 1)[1] for event in events if event["type"] == "RolloutStarted"} & after.rollouts.keys(), key=str.encode)
    rollouts = []
    for started_name in started:
        rollout = after.rollouts[started_name]
        members = [name for name in names if name not in after.retired and after.is_member(rollout, name)]
        nodes = (changed(name, after.files(name, released_by=started_name)) for name in members)
        rollouts.append([started_name, [change for change in nodes if any(change[1:])]])
    spec = lambda one, job: sha256(one.spec(job)) if job in one.jobs() else None
    jobs = sorted(before.jobs().keys() | after.jobs().keys(), key=str.encode)
    jobs = [[job, spec(before, job), spec(after, job)] for job in jobs]
    told = [[event["type"], event["entity"], event["version"], sha256(event["data"].encode())] for event in events]
    jobs = [job for job in jobs if job[1] != job[2]]
    formats = [[2, told, changes, jobs, rollouts]] if rollouts else []
    return [sha256(pack(plan)).hex() for plan in formats + [[1, told, changes, jobs, []]]]


# --- the audit ----------------------------------------------------------------------------------------------


class Audit:
    def __init__(self, trusted):
        self.trusted, self.log_id, self.key = trusted, None, None
        self.tree, self.state, self.versions = Tree(), State(), {}
        self.blobs, self.unnamed, self.ahead = {}, set(), []
        self.at, self.request, self.to, self.signed, self.checkpoints = None, None, 0, 0, 0
        self.before, self.told = None, []  # the state before the present request, and its events
        self.noted = None  # the size of the last checkpoint in this file

    def next(self):
        return self.tree.size + 1

    def demand(self, expected, found, code):
        if expected != found:
            show = lambda value: value.hex() if isinstance(value, bytes) else value
            raise Wrong(self.next(), code, show(expected), show(found))

    def begin(self, header):
        if self.trusted is not None:
            self.demand(self.trusted, header["public_key"], "key")
        if self.log_id is None:
            self.log_id, self.key = header["log_id"], header["public_key"]
        self.demand(self.log_id, header["log_id"], "other_log")
        self.demand(self.key, header["public_key"], "key")
        self.demand(self.next(), header["from"], "gap")
        self.demand(self.tree.edge, header["edge"], "edge")
        self.demand(True, header["to"] >= self.tree.size, "end")
        self.to, self.noted = header["to"], None

    def block(self, kind, block):
        if kind == BLOBS:
            for digest, data in block["blobs"]:
                self.demand(digest, sha256(data), "blob")
                self.blobs[digest] = len(data)
                self.unnamed.add(digest)
        elif kind == CHECKPOINTS:
            for note in block["notes"]:
                self.checkpoint(note)
        elif kind == EVENTS:
            self.demand(COLUMNS, block["columns"][: len(COLUMNS)], "columns")
            rows = [dict(zip(COLUMNS, row, strict=False)) for row in block["rows"]]
            for index, row in enumerate(rows):
                if row["ordinal"] == 1:
                    # The state before a request is needed only where a plan may stand at its end, which may be in a later block.
                    last = rows[index + row["count"] - 1 :][:1]
                    may_be_planned = not last or last[0]["type"] == "PlanKept"
                    self.before, self.told = (copy.deepcopy(self.state), []) if may_be_planned else (None, [])
                self.event(row)
        else:
            raise Damaged("a second header")

    def checkpoint(self, note):
        try:
            size, root = read_checkpoint(note, self.log_id, self.key)
        except (ValueError, InvalidSignature) as error:
            raise Wrong(self.next(), "checkpoint", "a note that the log's key signed", error or "a wrong signature") from error
        self.demand(True, self.tree.size <= size <= self.to, "checkpoint")
        self.demand(True, self.noted is None or size > self.noted, "checkpoint")
        self.noted = size
        bisect.insort(self.ahead, (size, root))
        self.reached()

    def reached(self):
        while self.ahead and self.ahead[0][0] == self.tree.size:
            size, root = self.ahead.pop(0)
            if root != self.tree.root():
                raise Wrong(min(self.signed + 1, size), "root", root.hex(), self.tree.root().hex())
            # A file may begin with the checkpoint that the file before it ended with.
            self.checkpoints += not self.checkpoints or size > self.signed
            self.signed = size

    def event(self, event):
        if self.next() > self.to:
            raise Wrong(self.next(), "end", self.to, "another event")
        self.demand(self.next(), event["position"], "gap")
        kind, slash, name = event["entity"].partition("/")
        self.demand(True, bool(slash and ID.fullmatch(name)), "row")
        try:
            self.demand(leaf_of(self.log_id, event), event["leaf"], "leaf")
        except (ValueError, OverflowError, struct.error) as error:
            raise Wrong(self.next(), "row", "an event", error) from error
        self.demand(self.versions.get(event["entity"], 0) + 1, event["version"], "version")
        expected = self.request or (event["command_id"], 1, event["count"])
        self.demand(expected, (event["command_id"], event["ordinal"], event["count"]), "torn_request")
        self.demand(True, event["count"] >= event["ordinal"], "torn_request")
        self.demand(True, self.at is None or event["at"] >= self.at, "time")
        self.fold(kind, name, event)
        if event["type"] == "PlanKept":
            said = json.loads(event["data"])
            self.demand(True, bool(self.before and self.told), "plan")
            self.demand(event["count"], event["ordinal"], "plan")
            self.demand(True, said["plan"] in plans_of(self.before, self.state, self.told), "plan")
        self.told.append(event)
        more = event["ordinal"] < event["count"]
        self.request = (event["command_id"], event["ordinal"] + 1, event["count"]) if more else None
        self.versions[event["entity"]], self.at = event["version"], event["at"]
        self.tree.push(event["leaf"])
        self.reached()

    def fold(self, kind, name, event):
        try:
            newest = NEWEST_FORMATS.get(event["type"], 1)
            self.demand(True, 1 <= event["v"] <= newest, "unreadable")
            self.demand(True, bool(ACTOR.fullmatch(event["actor"])), "unreadable")
            said = json.loads(event["data"])
            belongs = {"Marked": "mark", "Claim": "job", "ClaimRenewed": "runtime", "Join": "join_token", "Bus": "log", "Proposed": "proposal"}
            belongs |= {"Removal": "document", "Stage": "rollout", "Nodes": "rollout"}
            of = belongs.get(event["type"]) or belongs.get(re.match("[A-Z][a-z]*", event["type"])[0])
            self.demand(of or re.match("[A-Z][a-z]*", event["type"])[0].lower(), kind, "misplaced")
            self.state.fold(kind, name, event["type"], said, event["ordinal"] == 1)
            if event["type"] in ("Marked", "PlanKept"):
                named = said["position"] if event["type"] == "Marked" else said["base"]["position"]
                self.state.demand(named < event["position"], f"a position before {event['position']}")
            if event["type"] == "PlanKept":
                self.state.demand(name == said["plan"][:32], "the id that follows from `plan`")
        except LookupError as error:
            raise Wrong(self.next(), "reference", error, "it is not so") from error
        except (ValueError, TypeError, AttributeError) as error:
            raise Wrong(self.next(), "unreadable", "a change that can be folded", error) from error
        if event["type"] in ("DocumentPut", "DocumentStaged", "Proposed"):
            digest = bytes.fromhex(said["digest"])
            self.demand(said["size"], self.blobs.get(digest, f"no content {said['digest']}"), "blob")
            self.unnamed.discard(digest)

    def end(self):
        self.demand(self.to, self.tree.size, "end")
        self.demand(None, self.request, "torn_request")
        self.demand(0, len(self.unnamed), "blob")

    def finish(self):
        if self.trusted is not None and self.tree.size and not self.checkpoints:
            raise Wrong(1, "unsigned", "a checkpoint that the trusted key signed", "none")

    def read(self, path):
        blocks = None
        try:
            file = File(path)
            blocks = file.blocks()
            kind, header = next(blocks)
            self.demand(HEADER, kind, "block_order")
            self.begin(header)
            for kind, block in blocks:
                self.block(kind, block)
        except (Damaged, StopIteration, KeyError, TypeError, ValueError) as error:
            raise Wrong(self.next(), "file", "an export", f"{path}: {error!r}") from error
        self.end()


def main(words):
    trusted = None
    if "--trust" in words:
        at = words.index("--trust")
        trusted = bytes.fromhex(words[at + 1])
        del words[at : at + 2]
    is_json = "--json" in words
    files = [word for word in words if word != "--json"]
    if not files:
        sys.stderr.write(__doc__)
        sys.exit(2)
    audit = Audit(trusted)
    try:
        for path in files:
            audit.read(path)
        audit.finish()
    except Wrong as wrong:
        print(json.dumps({"ok": False, "position": wrong.position, "code": wrong.code, "what": str(wrong)}) if is_json else wrong)
        sys.exit(1)
    said = {"log_id": audit.log_id, "key": audit.key.hex(), "position": audit.tree.size, "root": audit.tree.root().hex()}
    if is_json:
        said["nodes"] = {name: audit.state.digest(name) for name in audit.state.there["node"]}
        said["jobs"] = {job: sha256(audit.state.spec(job)).hex() for job in audit.state.jobs()}
        print(json.dumps(said))
    else:
        print(f"{said}, signed up to {audit.signed} by {audit.checkpoints} checkpoints")


if __name__ == "__main__":
    main(sys.argv[1:])
