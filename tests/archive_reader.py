#!/usr/bin/env python3
"""An independent reader of vellum's archives, written from FORMAT.md alone; it imports reader.py.

    archive_reader.py archive [--key LINE]... [--log-key VKEY]... [--policy FILE]... [--at SECONDS] DIR
    archive_reader.py proof [--log-key VKEY]... PROOF DOCUMENT      a .tlog-proof

A verdict is one line of JSON: whether the archive is right, the head of its log, whether that is
witnessed and fresh, which leaves are void and why, the leaf of the bundle that gives each current
article, and the findings. FORMAT.md has no code for what is refused as a whole because of its
policy; that is called `refused` here.
"""

import argparse
import base64
import json
import os
import re
import sys
import time
from collections import namedtuple

import tomli

import reader
from reader import HEX, NUMBER, ORIGIN, Damage, Findings, sha256

NOTICES = {"signature-untrusted", "signature-elsewhere", "void", "policy", "stray"}
LEAF, WIDTH, STATEMENT, POLICY, NOTE = 8_192, 256, 4 * 1024 * 1024, 262_144, 1 << 20
BASE64 = "[A-Za-z0-9+/]+=*"
TEXT = rf'"(?:[^"\\{reader.CONTROL}\u2028\u2029]|\\["\\])+"'
NAMES = {"README.txt", "FORMAT.md", "archive.toml", "bundles", "withdrawn", "trust", "incoming", "checkpoint", "tile"}
NAMES |= {"claim"}  # of a bucket


def read(path, limit):
    """The bytes of a file, None if it is not there or too long."""
    try:
        with open(path, "rb") as file:
            data = file.read(limit + 1)
    except OSError:
        return None
    return data if len(data) <= limit else None


def hex_of(data):
    return sha256(data).hexdigest()


# ---------------------------------------------------------------- notes and the log

Verifier = namedtuple("Verifier", "name ident key")
Checkpoint = namedtuple("Checkpoint", "origin size root body signatures")


def parse_vkey(line, kind=1):
    """A verifier key: name, four bytes of id, key."""
    match = re.fullmatch(rf"([^+\s]+)\+([0-9a-f]{{8}})\+({BASE64})", line)
    data = reader.unbase64(match[3]) if match else b""
    if len(data) != 33 or data[0] != kind or not reader.has_prime_order(data[1:]):
        raise ValueError("not a verifier key")
    if sha256(match[1].encode() + b"\n" + data).digest()[:4].hex() != match[2]:
        raise ValueError("not a verifier key: its id")
    return Verifier(match[1], bytes.fromhex(match[2]), data[1:])


CHECKPOINT = re.compile(f"({ORIGIN})\n({NUMBER})\n({BASE64})\n\n((?:— [^\n]+\n)+)")
SIGNATURE = re.compile(rf"— ([^+\s]+) ({BASE64})")


def parse_checkpoint(data):
    """A checkpoint as a signed note, its signatures not yet checked."""
    try:
        match = CHECKPOINT.fullmatch((data or b"").decode())
        root = reader.unbase64(match[3]) if match else b""
        lines = [SIGNATURE.fullmatch(line) for line in match[4].splitlines()] if match else [None]
        signatures = [(line[1], reader.unbase64(line[2])) if line else None for line in lines]
    except ValueError:
        raise Damage("checkpoint", "checkpoint") from None
    if (
        len(root) != 32
        or len(signatures) > 64
        or not all(s and len(s[1]) > 4 for s in signatures)
        or int(match[2]) >= 2**63
    ):
        raise Damage("checkpoint", "checkpoint")
    body = "\n".join([match[1], match[2], match[3], ""]).encode()
    return Checkpoint(match[1], int(match[2]), root, body, signatures)


def signed_by(checkpoint, key):
    """Whether a log key has signed a checkpoint: every line of its name and id must fit."""
    said = [data[4:] for name, data in checkpoint.signatures if (name, data[:4]) == (key.name, key.ident)]
    return bool(said) and all(len(s) == 64 and reader.is_signed(key.key, s, checkpoint.body) for s in said)


def cosigned_at(checkpoint, key):
    """The newest time at which a witness has cosigned a checkpoint, or None."""
    times = []
    for name, data in checkpoint.signatures:
        if (name, data[:4]) == (key.name, key.ident) and len(data) == 76:
            at = int.from_bytes(data[4:12], "big")
            if reader.is_signed(key.key, data[12:], b"cosignature/v1\ntime %d\n" % at + checkpoint.body):
                times.append(at)
    return max(times, default=None)


def tile_path(level, number, width):
    """Where a tile lies: numbers in groups of three digits."""
    groups = [f"{number % 1000:03}"]
    while number := number // 1000:
        groups.insert(0, f"x{number % 1000:03}")
    return f"tile/{level}/" + "/".join(groups) + (f".p/{width}" if width < WIDTH else "")


class Log:
    """The checkpoint, and all leaves, which must lead to its root through every tile."""

    def __init__(self, folder, checkpoint):
        self.folder, self.size = folder, checkpoint.size
        self.leaves = [leaf for number in self.tiles(self.size) for leaf in self.entries(number)]
        self.hashes = [sha256(b"\0" + leaf).digest() for leaf in self.leaves]
        hashes, level = self.hashes, 0
        while hashes:
            for start in range(0, len(hashes), WIDTH):
                part = b"".join(hashes[start : start + WIDTH])
                if self.tile(level, start // WIDTH, len(hashes)) != part:
                    raise Damage("log", f"tile/{level}/{start // WIDTH:03}")
            full = len(hashes) // WIDTH * WIDTH
            hashes = [reader.tree(hashes[start : start + WIDTH]) for start in range(0, full, WIDTH)]
            level += 1
        if self.root(self.size) != checkpoint.root:
            raise Damage("log", "the root of the leaves is not the checkpoint's")

    def tiles(self, size):
        if size > 1 << 24:
            raise Damage("log", "more leaves than this reader takes")
        return range(-(-size // WIDTH))

    def raw(self, level, number, size):
        """The bytes of a tile and how many entries count of it; a full one may stand for a partial one."""
        width = min(WIDTH, size - number * WIDTH)
        for each in {width: 0, WIDTH: 0}:
            data = read(os.path.join(self.folder, tile_path(level, number, each)), WIDTH * (LEAF * 8 + 2))
            if data is not None:
                return data, width, each
        raise Damage("log", tile_path(level, number, width))

    def tile(self, level, number, size):
        data, width, held = self.raw(level, number, size)
        if len(data) != held * 32:
            raise Damage("log", tile_path(level, number, width))
        return data[: width * 32]

    def entries(self, number):
        data, width, held = self.raw("entries", number, self.size)
        entries, at = [], 0
        while at + 2 <= len(data):
            length = int.from_bytes(data[at : at + 2], "big")
            entries.append(data[at + 2 : at + 2 + length])
            at += 2 + length
        if at != len(data) or len(entries) != held:
            raise Damage("log", tile_path("entries", number, width))
        return entries[:width]

    def root(self, size):
        return reader.tree(self.hashes[:size]) if size else sha256(b"").digest()


# ---------------------------------------------------------------- leaves

Signature = namedtuple("Signature", "ident key signature last time")
FIELDS = {
    "bundle": [("size", NUMBER), ("file", f"sha256:{HEX}")],
    "signature": [("bundle", HEX)],
    "withdraw": [("statement", f"sha256:{HEX}")],
    "policy": [("version", NUMBER), ("file", f"sha256:{HEX}")],
    "document": [("name", r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}"), ("file", f"sha256:{HEX}")],
}
SIGNED = r"signature ([^ \n]+) ([^ \n]+) ([^ \n]+) ([^ \n]+)\n"
LEAVES = {
    kind: re.compile(
        f"vellum-leaf/1 {kind}\n"
        + "".join(f"{name} (?P<{name}>{form})\n" for name, form in fields)
        + f"(?P<signatures>(?:{SIGNED})*)"
        + (r"\n(?P<manifest>(?s:.*))" if kind == "bundle" else "")
    )
    for kind, fields in FIELDS.items()
}


class Leaf:
    """One leaf, in its one form; a ValueError or a Damage if it has another."""

    def __init__(self, data, index):
        self.index, self.kind, self.data = index, "?", data
        if len(data) > LEAF:
            raise ValueError("too long")
        text = data.decode()
        kind = re.match(r"vellum-leaf/1 ([a-z]+)\n", text)
        match = LEAVES[kind[1]].fullmatch(text) if kind and kind[1] in LEAVES else None
        if not match:
            raise ValueError("not of the form of a leaf")
        self.kind, self.fields = kind[1], match.groupdict()
        numbers = [self.fields.get(name) for name in ("size", "version")]
        if any(number and int(number) >= 2**63 for number in numbers):
            raise ValueError("a number that is too large")
        self.signatures = [parse_signed(line) for line in re.findall(SIGNED, self.fields["signatures"])]
        keys = [each.key for each in self.signatures]
        if keys != sorted(set(keys)) or (self.kind == "signature" and not keys):
            raise ValueError("the signatures' order")
        self.manifest = self.digest = None
        if self.kind == "bundle":
            self.manifest = reader.parse_manifest(self.fields["manifest"].encode())
            self.digest = hex_of(self.fields["manifest"].encode())
        elif self.kind == "signature":
            self.digest = self.fields["bundle"]
        else:
            self.digest = self.fields.get("statement", self.fields.get("file"))[7:]
        if self.kind == "document" and (self.fields["name"] in NAMES or self.fields["name"].endswith(".unfinished")):
            raise ValueError("a name of the archive's own")

    def signers(self, origin):
        """The keys, each with its id, whose signature on what this leaf speaks of is good (L1)."""
        kind = {"bundle": "manifest", "signature": "manifest"}.get(self.kind, self.kind)
        start = f"vellum/1\t{kind}\tarchive:{origin}\tsha256:{self.digest}\ttime:"
        return {
            (each.ident, each.key)
            for each in self.signatures
            if "0001" <= each.time < "9999"
            and reader.has_prime_order(each.key)
            and reader.is_signed(each.key, each.last, each.signature + (start + each.time).encode())
        }


def parse_signed(words):
    key, signature, last = map(reader.unbase64, words[:3])
    if key[:2] != b"Ed" or (len(key), len(signature), len(last)) != (42, 64, 64):
        raise ValueError("a signature line")
    if not reader.is_time(re.sub("^0000", "2000", words[3])):
        raise ValueError("the time of a signature")
    return Signature(key[2:10], key[10:], signature, last, words[3])


# ---------------------------------------------------------------- the trust policy

NAME = re.compile(rf"(?=.*[^{reader.WHITE}])[^{reader.CONTROL}]+")  # of a key or an operator
ROLES = {"root", "publish", "withdraw", "document"}
Key = namedtuple("Key", "name public roles valid_from retired_at compromised_at")
LogKey = namedtuple("LogKey", "vkey retired_at")
Witness = namedtuple("Witness", "vkey operator holds")


def take(table, what, **types):
    """The values of a table, which has no other keys; a type with a default may be absent."""
    if not isinstance(table, dict) or table.keys() - types.keys():
        raise ValueError(f"{what}: a field that is not known")
    values = []
    for name, form in types.items():
        form, *default = form if isinstance(form, tuple) else (form,)
        if name not in table and not default:
            raise ValueError(f"{what}: no {name}")
        value = table.get(name, default[0] if default else None)
        if name in table and (type(value) is not form or (form is int and not 0 <= value < 2**63)):
            raise ValueError(f"{what}: {name}")
        values.append(value)
    return values


class Policy:
    """A version of the trust policy; a ValueError if it is to be refused."""

    def __init__(self, data, origin):
        if len(data) > POLICY:
            raise ValueError("too long")
        self.digest, table, none = hex_of(data), tomli.loads(data.decode()), (int, None)
        form, archive, self.version, self.previous, log, self.closed, threshold, fresh, keys, log_keys, witnesses = (
            take(
                table,
                "policy",
                **{"format": str, "archive": str, "version": int, "previous": (str, None), "log": dict},
                **{"closed": (bool, False), "threshold": dict, "freshness": (dict, {}), "key": (list, [])},
                **{"log_key": (list, []), "witness": (list, [])},
            )
        )
        self.size, root = take(log, "log", size=int, root=str)
        self.max_age, on_stale = None, "warn"
        if "freshness" in table:
            self.max_age, on_stale = take(fresh, "freshness", max_age_days=int, on_stale=str)
        least = dict(root=int, publish=int, withdraw=int, document=none, witness=(int, 0))
        self.threshold = dict(zip(least, take(threshold, "threshold", **least)))
        if form != "vellum-trust/1" or archive != origin or not 1 <= self.version <= 1024:
            raise ValueError("format, archive or version")
        if not re.fullmatch(f"sha256:{HEX}", root) or on_stale not in ("warn", "fail"):
            raise ValueError("log or freshness")
        if bool(self.previous) != (self.version > 1) or not re.fullmatch(f"sha256:{HEX}", self.previous or root):
            raise ValueError("previous")
        if 0 in [self.threshold[r] for r in least if r != "witness"]:
            raise ValueError("closed or threshold")
        self.root, self.on_stale = root[7:], on_stale
        self.keys = [self.key(*take(each, "key", **KEY)) for each in keys]
        self.log_keys = [
            LogKey(parse_vkey(v), r) for v, r in (take(e, "log_key", vkey=str, retired_at=none) for e in log_keys)
        ]
        self.witnesses = [
            Witness(parse_vkey(v, 4), o, h)
            for v, o, h in (take(each, "witness", vkey=str, operator=str, holds=bool) for each in witnesses)
        ]
        if not all(NAME.fullmatch(each.operator) for each in self.witnesses):
            raise ValueError("operator")
        self.check(origin)

    def key(self, name, public, roles, *window):
        known = all(isinstance(role, str) and role in ROLES for role in roles)
        if not NAME.fullmatch(name) or not roles or not known or len(set(roles)) < len(roles):
            raise ValueError(f"key {name}: name or roles")
        return Key(name, reader.parse_key(public), tuple(roles), window[0] or 0, *window[1:])

    def check(self, origin):
        public = [each.public[1] for each in self.keys]
        public += [each.vkey.key for each in [*self.log_keys, *self.witnesses]]
        names = [each.name for each in self.keys]
        if len(set(public)) < len(public) or len(set(names)) < len(names):
            raise ValueError("a name or a key stands twice")
        if any(each.vkey.name != origin for each in self.log_keys):
            raise ValueError("log_key: its name is not the origin")
        if all(each.retired_at is not None for each in self.log_keys):
            raise ValueError("log_key: none is in use")
        for role, least in self.threshold.items():
            able = {each.operator for each in self.witnesses} if role == "witness" else self.sound(role)
            if not self.closed and least and len(able) < least:
                raise ValueError(f"threshold: {role}")

    def able(self, role):
        return [each for each in self.keys if role in each.roles]

    def sound(self, role):
        """The keys with a role that are neither retired nor compromised, now or later."""
        return {e.public for e in self.able(role) if e.retired_at is None and e.compromised_at is None}

    def open(self, public, index):
        for each in self.keys:
            if each.public == public:
                ends = [end for end in (each.retired_at, each.compromised_at) if end is not None]
                return each.valid_from <= index < min(ends, default=2**63)
        return False

    def follows(self, before):
        """What is wrong with this version as the next of another (P1), or None."""
        if self.version != before.version + 1 or self.previous != "sha256:" + before.digest:
            return "does not follow the version before"
        if self.size < before.size:
            return "was made on a smaller log than the version before"
        now, old = {each.public: each for each in self.keys}, {each.public: each for each in before.keys}
        for public, each in old.items():
            new = now.get(public)
            if not new or (new[0], new[2:4]) != (each[0], each[2:4]):
                return f"does not keep key {each.name}"
            if not self.rests(each.retired_at, new.retired_at):
                return f"retired_at of {each.name}"
            if each.compromised_at is not None and not (new.compromised_at or 0) <= each.compromised_at:
                return f"compromised_at of {each.name}"
            if each.compromised_at is not None and new.compromised_at is None:
                return f"compromised_at of {each.name}"
        if any(each.valid_from < self.size for public, each in now.items() if public not in old):
            return "valid_from of a new key"
        logs = {each.vkey: each.retired_at for each in self.log_keys}
        for each in before.log_keys:
            if each.vkey not in logs or not self.rests(each.retired_at, logs[each.vkey]):
                return "does not keep a log key"
        return None

    def rests(self, before, now):
        return now == before or (before is None and now >= self.size)


KEY = {"name": str, "public": str, "roles": list}
KEY |= {name: (int, None) for name in ("valid_from", "retired_at", "compromised_at")}


# ---------------------------------------------------------------- statements of withdrawal

Statement = namedtuple("Statement", "size ids pairs")
Pair = namedtuple("Pair", "old new removed")
PAIR = rf'\n\[\[bundle\]\]\nold = "({HEX})"\n(?:new = "({HEX})"\n)?removed = \["([^\n]*)"\]\n'
STATEMENT_FORM = re.compile(
    f'format = "vellum-withdrawal/1"\narchive = "({ORIGIN})"\nsize = ({NUMBER})\n'
    rf'ids = \["sha256:([^\n]*)"\]\n(?:clear = (\[{TEXT}(?:, {TEXT})*\])\n)?(?:reason = {TEXT}\n)?((?:{PAIR})*)'
)


def parse_statement(data, origin):
    """A statement in its one form; a ValueError if it has another."""
    match = STATEMENT_FORM.fullmatch(data.decode())
    if not match or match[1] != origin or len(data) > STATEMENT:
        raise ValueError("not of the form of a statement")
    ids, clear = match[3].split('", "sha256:'), json.loads(match[4] or "[]")
    raw = [each.encode() for each in clear]
    if not all(re.fullmatch(HEX, each) for each in ids) or ids != sorted(set(ids)) or len(ids) > 4096:
        raise ValueError("ids")
    if raw != sorted(set(raw)) or not {hex_of(each) for each in raw} <= set(ids):
        raise ValueError("clear")
    pairs = []
    for old, new, removed in re.findall(PAIR, match[5]):
        lines = [re.fullmatch(f"({NUMBER}) ({HEX}) ({HEX})", each) for each in removed.split('", "')]
        if not all(lines):
            raise ValueError("removed")
        removed = [(int(line[1]), line[2], line[3]) for line in lines]
        if any(a[0] >= b[0] for a, b in zip(removed, removed[1:])):
            raise ValueError("removed")
        pairs.append(Pair(old, new or None, removed))
    if any(a.old >= b.old for a, b in zip(pairs, pairs[1:])) or int(match[2]) >= 2**63:
        raise ValueError("bundles")
    return Statement(int(match[2]), set(ids), pairs)


def article_hash(ident, lines):
    return sha256(b"\0" + bytes.fromhex(ident) + bytes.fromhex(lines)).digest()


# ---------------------------------------------------------------- what counts

FREE = ("articles", "files", "bytes", "checksums", "root", "times", "replaces")


class Line:
    """A bundle: its leaves, its place, and what became of it."""

    def __init__(self, ident, leaf):
        self.ident, self.manifest, self.place, self.logged = ident, leaf.manifest, leaf.index, leaf.index
        self.leaves, self.added, self.counts, self.gone = [leaf], [], False, False
        self.old = None  # what it replaces
        self.removed = None  # of a replacement: the leaves that went, and the root of the bundle before
        self.may_reinstate, self.taken = False, set()  # by who may withdraw; digests of ids that went

    def forms(self):
        """The files that may hold it, the newest first."""
        m = self.manifest
        most = m["bytes"] + m["bytes"] // 64 + 8192 * m["files"] + 2048 * m["articles"] + (16 << 20)
        forms = [(leaf.fields["file"][7:], int(leaf.fields["size"])) for leaf in reversed(self.leaves)]
        return [form for form in dict.fromkeys(forms) if form[1] <= most]


class Trust:
    """What a person believes: keys, log keys, and policies, as bytes, that the person vouches for."""

    def __init__(self, keys=(), log_keys=(), policies=()):
        self.keys, self.log_keys, self.policies = set(keys), list(log_keys), list(policies)


class History:
    """What counts in a log (L1–L7, W1–W4, P1–P6)."""

    def __init__(self, folder, origin, log, trust, found):
        self.folder, self.origin, self.log, self.found = folder, origin, log, found
        self.leaves, self.why = [], {}
        for index, data in enumerate(log.leaves):
            try:
                self.leaves.append(Leaf(data, index))
            except (ValueError, Damage) as error:
                self.leaves.append(None)
                self.why[index] = "malformed: " + " ".join(map(str, error.args))
        self.good = [leaf.signers(origin) if leaf else set() for leaf in self.leaves]
        self.trusted = trust.keys
        self.policies = []  # [(leaf, policy)…], in force from the leaf after
        self.end = log.size  # where a closed policy ends the log
        self.read_policies(trust.policies)
        for index in range(self.end, log.size):
            self.why[index] = "after the leaf of a closed policy"
        self.newest = self.policies[-1][1] if self.policies else None
        self.bundles, self.statements, self.documents = {}, {}, {}
        self.read_bundles()
        self.read_statements()
        self.read_documents()

    # policies

    def read_policies(self, vouched):
        fixed, self.absent = self.fix(vouched), []  # (leaf, version) of policies by who may that are not there (P5)
        for leaf in self.leaves:
            if leaf and leaf.kind == "policy" and leaf.index < self.end:
                why = self.policy_counts(leaf, fixed)
                if why:
                    self.why[leaf.index] = why
        for index, version in self.absent:
            if not any(policy.version == version and policy.size > index for leaf, policy in self.policies if leaf > index):
                raise Damage("refused", f"version {version} of the policy is withheld")
        held = {policy.version: policy.digest for _, policy in self.policies}
        for version, digest in fixed.items():
            if held.get(version) != digest:
                raise Damage("refused", f"the log is behind version {version} of the policy")

    def fix(self, vouched):
        """The digests of the versions that somebody vouches for, and of those before them."""
        fixed = {}
        for data in vouched:
            try:
                policy = Policy(data, self.origin)
                while True:
                    if fixed.setdefault(policy.version, policy.digest) != policy.digest:
                        raise Damage("refused", "two policies are vouched for")
                    if policy.version == 1:
                        break
                    fixed.setdefault(policy.version - 1, policy.previous[7:])
                    before = read(self.policy_path(policy.version - 1), POLICY) or b""
                    if hex_of(before) != policy.previous[7:]:
                        break
                    policy = Policy(before, self.origin)
            except (ValueError, RecursionError) as error:
                raise Damage("refused", f"a policy that is vouched for: {error}") from None
        return fixed

    def policy_path(self, version):
        return os.path.join(self.folder, "trust", f"{version}.toml")

    def policy_counts(self, leaf, fixed):
        """Why a policy's leaf does not count, or None; then it is in force."""
        version, digest = int(leaf.fields["version"]), leaf.digest
        before = self.policies[-1][1] if self.policies else None
        if version != (before.version + 1 if before else 1):
            return "not the next version"
        if version in fixed and fixed[version] != digest:
            return "another one is vouched for"
        signers = self.good[leaf.index]
        vouched = version in fixed
        if not vouched and not before and not signers & self.trusted:
            self.found.add("policy", f"leaf {leaf.index}")
            return "no trusted key has signed the first policy"
        if not vouched and before and len(signers & before.sound("root")) < before.threshold["root"]:
            return "too few root keys of the version before"
        data = read(self.policy_path(version), POLICY)
        if data is None or hex_of(data) != digest:
            self.absent.append((leaf.index, version))
            return "its policy is not there"
        try:
            policy = Policy(data, self.origin)
        except (ValueError, RecursionError) as error:
            return f"policy: {error}"
        if policy.version != version or policy.size > leaf.index:
            return "another version, or made on a later log"
        why = before and not vouched and policy.follows(before)
        if why:
            return why
        may = policy.sound("root")
        if len(signers & may) < policy.threshold["root"] and not vouched:
            return "too few root keys of its own"
        if policy.size > self.log.size or self.log.root(policy.size).hex() != policy.root:
            raise Damage("refused", f"the log is not that of version {version} of the policy")
        self.policies.append((leaf.index, policy))
        self.end = leaf.index + 1 if policy.closed else self.end
        return None

    def in_force(self, index):
        """The policy in force at a leaf, or None before the first."""
        return next((policy for leaf, policy in reversed(self.policies) if leaf < index), None)

    def needed(self, role, index):
        policy = self.in_force(index)
        if not policy and self.policies and index >= self.policies[0][1].size:
            policy = self.policies[0][1]
        return policy.threshold[role] or policy.threshold["publish"] if policy else 1

    def enough(self, role, place, indexes):
        """Whether keys that may do this, by the leaves that carry their signatures, are as many as it takes at both ends (L4)."""
        first = {}
        for index in sorted(indexes):
            for key in self.signers(role, index):
                first.setdefault(key, index)
        least = self.needed(role, place)
        return any(n >= max(least, self.needed(role, index)) for n, index in enumerate(sorted(first.values()), 1))

    def signers(self, role, index):
        """The good signers of a leaf that may do this there."""
        if not self.policies:
            return self.good[index] & self.trusted
        policy = self.in_force(index) or self.policies[0][1]
        if role == "document" and not policy.threshold["document"]:
            role = "publish"
        able = {each.public for each in policy.able(role)}
        return {key for key in self.good[index] & able if self.newest.open(key, index)}

    # bundles

    def living(self, kind):
        return [leaf for leaf in self.leaves[: self.end] if leaf and leaf.kind == kind]

    def read_bundles(self):
        for leaf in self.living("bundle"):
            manifest = leaf.manifest
            if (manifest["base"] or 0) > leaf.index:
                self.why[leaf.index] = "its base lies above its index"
            elif manifest["archive"] not in (None, self.origin):
                self.why[leaf.index] = "of another archive"
            elif leaf.digest in self.bundles:
                self.bundles[leaf.digest].leaves.append(leaf)
            else:
                self.bundles[leaf.digest] = Line(leaf.digest, leaf)
        for leaf in self.living("signature"):
            line = self.bundles.get(leaf.digest)
            if not line or line.place > leaf.index:
                self.why[leaf.index] = "no leaf before names this bundle"
            else:
                line.added.append(leaf)
        for line in self.bundles.values():
            indexes = [leaf.index for leaf in line.leaves + line.added]
            line.may_reinstate = self.enough("withdraw", line.place, indexes)
            line.counts = not line.manifest["replaces"] and self.enough("publish", line.place, indexes)

    # withdrawals

    def read_statements(self):
        for leaf in self.living("withdraw"):
            index, digest = leaf.index, leaf.digest
            if digest in self.statements:
                self.why[index] = "this statement counts already"
            elif len(self.signers("withdraw", index)) < self.needed("withdraw", index):
                self.why[index] = "too few keys that may withdraw"
            else:
                data = read(os.path.join(self.folder, "withdrawn", f"{digest}.toml"), STATEMENT)
                if data is None or hex_of(data) != digest:
                    self.found.add("withdrawal", f"withdrawn/{digest}.toml")
                    continue
                try:
                    statement = parse_statement(data, self.origin)
                except ValueError as error:
                    self.why[index] = f"the statement's form: {error}"
                    continue
                if statement.size > index:
                    self.why[index] = "the statement's size lies above its index"
                    continue
                self.statements[digest] = index, statement
                for pair in statement.pairs:
                    self.replace(pair, statement)
        for line in self.bundles.values():
            if not line.counts:
                why = "no statement names it" if line.manifest["replaces"] else "too few keys that may publish"
                self.why |= {leaf.index: why for leaf in line.leaves}
                if not self.policies and not line.manifest["replaces"]:
                    self.found.add("untrusted", f"bundle {line.ident}")

    def replace(self, pair, statement):
        """W1: whether a pair holds; then the old bundle's place is the new one's."""
        old, new = self.bundles.get(pair.old), self.bundles.get(pair.new)
        if not old or not old.counts or old.gone or old.logged >= statement.size:
            return
        m, removed = old.manifest, pair.removed
        if not {each[1] for each in removed} <= statement.ids or removed[-1][0] >= m["articles"]:
            return
        if pair.new is None:
            leaves = [article_hash(*each[1:]) for each in removed]
            if len(leaves) != m["articles"] or reader.tree(leaves).hex() != m["root"][7:]:
                return
        elif not new or new.manifest["replaces"] != [pair.old] or new.gone:
            return
        elif new.manifest["articles"] != m["articles"] - len(removed):
            return
        elif any(new.manifest[key] != m[key] for key in m if key not in FREE):
            return
        else:
            new.counts, new.place = True, old.place
            new.may_reinstate, new.removed, new.old = old.may_reinstate, (removed, m["root"][7:]), old
        old.gone, old.taken = True, old.taken | {each[1] for each in removed}
        if new:
            new.taken = old.taken

    def floor(self, ident, held):
        """The place from which on bundles show an article, None while a statement stands (W3)."""
        floor, digest = 0, hex_of(ident)
        for name, (index, statement) in self.statements.items():
            if digest in statement.ids:
                places = [
                    line.place
                    for line in self.bundles.values()
                    if (ident in held.get(line, ()) or digest in line.taken)
                    and name in (line.manifest["reinstates"] or [])
                    and line.place > index
                    and line.may_reinstate
                ]
                if not places:
                    return None
                floor = max(floor, min(places))
        return floor

    def current(self, held):
        """{id: place of the bundle} from {bundle: its ids}, by L6 and W3."""
        holders, current = {}, {}
        for line in sorted(held, key=lambda line: line.place):
            for ident in held[line]:
                holders.setdefault(ident, []).append(line)
        for ident, lines in holders.items():
            floor, top = self.floor(ident, held), None
            for line in lines:
                if floor is not None and line.place >= floor:
                    if not top or top.place < (line.manifest["base"] or 0):
                        top = line
            if top:
                current[ident] = top.place
        return current

    # documents

    def read_documents(self):
        for leaf in self.living("document"):
            if len(self.signers("document", leaf.index)) < self.needed("document", leaf.index):
                self.why[leaf.index] = "too few keys that may sign documents"
            else:
                self.documents[leaf.fields["name"]] = leaf


# ---------------------------------------------------------------- what is there


def read_bundle(path, found):
    """A whole bundle: its id, and (id, digest of id, digest of lines) of its articles, in order."""
    with open(path, "rb") as file:
        bundle = reader.Bundle(file, found)
        reader.check_signatures(found, bundle.signed, bundle.signatures, [], True)
        walk = reader.Walk(bundle, found)
        digests = reader.check_list(walk, bundle.manifest, found)
        articles, homeless = reader.group(digests)
        reader.check_articles(digests, articles, homeless, bundle.manifest, found)
        reader.check_members(walk, digests, articles, bundle.manifest, found)
        reader.check_ids(walk, articles, bundle, found)
    names = [(walk.ids.get(article.metadata) or article.path, hex_of(article.lines)) for article in articles]
    return hex_of(bundle.signed), [(name, hex_of(name), lines) for name, lines in names]


def file_digest(path):
    total, size = sha256(), 0
    with open(path, "rb") as file:
        while part := file.read(1 << 20):
            total.update(part)
            size += len(part)
    return total.hexdigest(), size


class Files:
    """The files of the bundles that count."""

    def __init__(self, folder, history, found):
        self.folder, self.found, self.held, self.known = folder, found, {}, set()
        for line in history.bundles.values():
            self.known |= {self.place(line.ident, form) for form, _ in line.forms()}
            if line.counts and not line.gone:
                self.read(line)
        self.strays()

    def place(self, ident, digest):
        return f"bundles/{ident[:2]}/{ident}/{digest[:16]}.tar.zst"

    def read(self, line):
        """All forms that are there; one that is whole is enough. Of a replacement's old files one does till then (W2)."""
        best, there = self.forms(line)
        if best is None and not there:
            self.found.add("bundle-missing", f"bundle {line.ident}")
        for finding in there:
            self.found.add(*finding)
        if best is not None and line.removed and not self.is_rest(line, best):
            self.found.add("withdrawal", f"bundle {line.ident}: not the rest")
            best = None
        old = line.old
        while best is None and old:
            (best, _), old = self.forms(old), old.old
        if best is not None:
            self.held[line] = [name for name, *_ in best]

    def forms(self, line):
        """The articles of the newest form that is whole, or None, and what is wrong with those that are there."""
        there, best = [], None
        for digest, size in line.forms():
            place = self.place(line.ident, digest)
            path = os.path.join(self.folder, place)
            if os.path.isfile(path):
                articles, wrong = self.form(line, path, digest, size)
                there += [[code, f"{place}: {what}"] for code, what in wrong]
                best = best or articles
        return best, there

    def form(self, line, path, digest, size):
        if file_digest(path) != (digest, size):
            return None, [("bundle-file", "not the file that was logged")]
        found = Findings()
        try:
            ident, articles = read_bundle(path, found)
            if ident != line.ident:
                found.add("bundle-file", "another bundle")
        except Damage as damage:
            found.add(*damage.args)
        wrong = [each for each in found if each[0] not in NOTICES]
        return (None if wrong else articles), wrong

    def is_rest(self, line, articles):
        removed, root = line.removed
        leaves = [article_hash(*each[1:]) for each in articles]
        for position, ident, lines in removed:
            leaves.insert(position, article_hash(ident, lines))
        return reader.tree(leaves).hex() == root

    def strays(self):
        for folder, _, names in os.walk(os.path.join(self.folder, "bundles")):
            for name in sorted(names):
                place = os.path.relpath(os.path.join(folder, name), self.folder)
                if place not in self.known:
                    self.found.add("stray", place)


# ---------------------------------------------------------------- the verdict

TOML = f'format = "vellum-archive/1"\norigin = "({ORIGIN})"\nlog = "([^"\\\\\n]+)"\n'


def check_checkpoint(checkpoint, trust, history, now, found):
    """P3 and P6, log keys, witnesses, age: whether it is witnessed, and fresh."""
    policy, times = history.newest, {}
    if not trust.log_keys and not trust.policies:
        found.add("refused", "neither a key of the log nor a policy comes from a person")
    if not policy:
        if not any(key.name == checkpoint.origin and signed_by(checkpoint, key) for key in trust.log_keys):
            found.add("checkpoint", "not signed by a key of the log")
        return "unknown", "unknown"
    for witness in policy.witnesses:
        at = cosigned_at(checkpoint, witness.vkey)
        if at is not None:
            times.setdefault(witness.operator, []).append(at)
    least = policy.threshold["witness"]
    quorum = least > 0 and len(times) >= least
    keys = [key.vkey for key in policy.log_keys if quorum or key.retired_at is None]
    if not any(signed_by(checkpoint, key) for key in keys):
        found.add("checkpoint", "not signed by a key of the log")
    if least and not quorum:
        found.add("refused", f"{len(times)} of {least} witnesses")
    known = [max((at for at in each if at <= now + 600), default=0) for each in times.values()]
    if policy.closed:
        fresh = "closed"
    elif policy.max_age is None:
        fresh = "unknown"
    else:
        fresh = "yes" if quorum and now - sorted(known)[-least] < policy.max_age * 86400 else "no"
    if fresh == "no" and policy.on_stale == "fail":
        found.add("refused", "too old")
    return ("yes" if quorum else "no") if least else "unknown", fresh


def check_documents(folder, history, found):
    for name, leaf in history.documents.items():
        path = os.path.join(folder, name)
        if not os.path.isfile(path) or file_digest(path)[0] != leaf.digest:
            found.add("document", name)


def verdict(folder, trust, now):
    """Everything about one archive, as a dict."""
    found, said = Findings(), {"archive": folder, "right": False}
    try:
        label = re.fullmatch(TOML, (read(os.path.join(folder, "archive.toml"), 4096) or b"").decode("latin-1"))
        if not label:
            raise Damage("archive", "archive.toml")
        checkpoint = parse_checkpoint(read(os.path.join(folder, "checkpoint"), NOTE))
        said |= {"size": checkpoint.size, "root": checkpoint.root.hex()}
        if checkpoint.origin != label[1]:
            raise Damage("checkpoint", "its origin")
        try:
            parse_vkey(label[2])
        except ValueError:
            raise Damage("archive", "archive.toml: log") from None
        log = Log(folder, checkpoint)
        history = History(folder, label[1], log, trust, found)
        said["void"] = dict(sorted(history.why.items()))
        said["witnessed"], said["fresh"] = check_checkpoint(checkpoint, trust, history, now, found)
        articles = history.current(Files(folder, history, found).held)
        said["articles"] = {ident.decode(): place for ident, place in sorted(articles.items())}
        check_documents(folder, history, found)
        for index in said["void"]:
            found.add("void", f"leaf {index}")
    except Damage as damage:
        found.add(*damage.args)
    said["right"] = all(code in NOTICES for code, _ in found)
    return said | {"findings": found}


# ---------------------------------------------------------------- a .tlog-proof

PROOF = re.compile(f"c2sp\\.org/tlog-proof@v1\nextra ({BASE64})\nindex ({NUMBER})\n((?:{BASE64}\n)*)\n((?s:.*))")


def check_proof(proof, document, log_keys):
    """The steps of "Proofs"; also says who had signed, which is for a person to judge."""
    try:
        match = PROOF.fullmatch(proof.decode())
        index, extra = int(match[2]), reader.unbase64(match[1])
        hashes = [reader.unbase64(line) for line in match[3].split()]
    except (ValueError, TypeError):
        raise Damage("proof", "its form") from None
    checkpoint = parse_checkpoint(match[4].encode())
    if not any(key.name == checkpoint.origin and signed_by(checkpoint, key) for key in log_keys):
        raise Damage("checkpoint", "not signed by a key of the log")
    start = b"vellum-proof/1\n"
    part = re.compile(f"leaf ({NUMBER})\n".encode()).match(extra, len(start))
    end = part.end() + int(part[1]) if part else 0
    if not extra.startswith(start) or not part or extra[end : end + 1] != b"\n":
        raise Damage("proof", "leaf")
    raw, rest = extra[part.end() : end], extra[end + 1 :]
    root = None
    if index < checkpoint.size and all(len(each) == 32 for each in hashes):
        root = reader.root_of_path(sha256(b"\0" + raw).digest(), index, checkpoint.size, hashes)
    if root != checkpoint.root:
        raise Damage("log", "the leaf does not lead to the checkpoint")
    try:
        leaf = Leaf(raw, index)
    except ValueError as error:
        raise Damage("proof", f"leaf: {error}") from None
    if leaf.kind != "bundle":
        raise Damage("proof", "not the leaf of a bundle")
    signers = sorted(base64.b64encode(b"Ed" + ident + key).decode() for ident, key in leaf.signers(checkpoint.origin))
    manifest = leaf.fields["manifest"].encode()
    # What is left is a proof by a bundle whose manifest and signatures the leaf carries.
    stub = b"signature 1\nx\n"
    whole = start + b"manifest %d\n%s\n" % (len(manifest), manifest) + stub + rest
    said = reader.check_proof(whole, document, [], True, Findings())
    return said | {"index": index, "signers": signers}


def judge_proof(proof, document, log_keys):
    data = read(proof, 3 * reader.LINES) or b""
    return reader.judge(document, lambda file, _: check_proof(data, file, log_keys))


# ---------------------------------------------------------------- the command line


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    archive, proof = commands.add_parser("archive"), commands.add_parser("proof")
    archive.add_argument("--key", type=reader.parse_key, action="append", default=[], help="a key to trust")
    for command in archive, proof:
        command.add_argument("--log-key", type=parse_vkey, action="append", default=[], help="a log's key")
    archive.add_argument("--policy", action="append", default=[], help="a version of the policy that is vouched for")
    archive.add_argument("--at", type=int, default=int(time.time()), help="what time it is, in seconds")
    archive.add_argument("archive")
    proof.add_argument("proof")
    proof.add_argument("document")
    args = parser.parse_args()
    if args.command == "archive":
        policies = [read(path, POLICY) or b"" for path in args.policy]
        said = verdict(args.archive, Trust(args.key, args.log_key, policies), args.at)
    else:
        found, said = judge_proof(args.proof, args.document, args.log_key)
        said["right"] = found.ok()
    print(json.dumps(said, ensure_ascii=False))
    return 0 if said["right"] else 1


if __name__ == "__main__":
    sys.exit(main())
