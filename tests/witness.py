#!/usr/bin/env python3
"""A small transparency log witness, for tests.

Written from the C2SP documents tlog-witness, tlog-cosignature, tlog-checkpoint
and signed-note, and from RFC 6962.  It listens on 127.0.0.1, answers
`POST <any prefix>/add-checkpoint`, and gives Ed25519 cosignatures (type 0x04).
With --misbehave it is a bad witness, for testing how a client copes.
"""

import argparse
import base64
import contextlib
import hashlib
import itertools
import json
import os
import re
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Iterable, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519, COSIGNATURE = b"\x01", b"\x04"  # signed-note, "Signature types"
MAX_PROOF_LINES = 63  # tlog-witness, "add-checkpoint"
MAX_SIZE = 2**63 - 1  # the largest tree whose proofs fit in 63 lines
MAX_BODY = 1 << 18  # room for 16 post-quantum signatures of 5 kB, and more
YEAR = 365 * 24 * 3600


class Reply(NamedTuple):
    """One HTTP response; `pieces` replaces `body` on the wire if it is set."""

    status: int
    body: bytes
    headers: dict = {}
    pieces: Iterable[bytes] = ()


class Refused(Exception):
    """A request that ends in an error response."""

    def __init__(self, status: int, reason: str, headers: dict = {}):
        super().__init__(reason)
        self.reply = Reply(status, f"{reason}\n".encode(), headers)


def conflict(size: int) -> Refused:
    """The size of the latest checkpoint (tlog-witness, "add-checkpoint")."""
    return Refused(409, str(size), {"Content-Type": "text/x.tlog.size"})


class Checkpoint(NamedTuple):
    text: str
    origin: str
    size: int
    root: bytes
    signatures: list  # of (key name, key ID, signature)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def unb64(text: str) -> bytes:
    """Canonical standard base64 (RFC 4648, Section 4)."""
    data = base64.b64decode(text, validate=True)
    if b64(data) != text:
        raise ValueError("base64 is not canonical")
    return data


def parse_hash(line: str) -> bytes:
    value = unb64(line)
    if len(value) != 32:
        raise ValueError("a hash is not 32 bytes long")
    return value


def parse_size(text: str) -> int:
    """ASCII decimal without leading zeroes (tlog-checkpoint, "Note text")."""
    if not re.fullmatch("0|[1-9][0-9]{0,18}", text) or int(text) > MAX_SIZE:
        raise ValueError("bad size")
    return int(text)


def parse_checkpoint(note: str) -> Checkpoint:
    """signed-note, "Format"; tlog-checkpoint, "Note text"."""
    if any(c < " " and c != "\n" for c in note):
        raise ValueError("control character in the note")
    text, blank, tail = note.rpartition("\n\n")
    lines = text.split("\n")
    if not blank or not tail.endswith("\n") or len(lines) < 3 or "" in lines:
        raise ValueError("not a checkpoint")
    signatures = []
    for line in tail[:-1].split("\n"):
        match = re.fullmatch(r"— ([^\s+]+) (\S+)", line)
        signature = unb64(match[2]) if match else b""
        if len(signature) < 5:
            raise ValueError("bad signature line")
        signatures.append((match[1], signature[:4], signature[4:]))
    return Checkpoint(text + "\n", lines[0], parse_size(lines[1]), parse_hash(lines[2]), signatures)


def parse_request(body: bytes) -> tuple[int, list[bytes], Checkpoint]:
    """The request body (tlog-witness, "add-checkpoint")."""
    try:
        head, _, note = body.decode("utf-8").partition("\n\n")
        old, *proof = head.split("\n")
        if not old.startswith("old ") or len(proof) > MAX_PROOF_LINES:
            raise ValueError("no old size line, or too many proof lines")
        return parse_size(old[4:]), [parse_hash(line) for line in proof], parse_checkpoint(note)
    except ValueError as error:
        raise Refused(400, f"malformed request: {error}") from error


def key_id(name: str, kind: bytes, public: bytes) -> bytes:
    """signed-note, "Signatures"."""
    return hashlib.sha256(name.encode() + b"\n" + kind + public).digest()[:4]


def parse_vkey(vkey: str) -> tuple[str, bytes, Ed25519PublicKey]:
    """Name, key ID and key of a log (signed-note, "Verifier keys")."""
    name, key, material = vkey.split("+", 2)
    kind, public = unb64(material)[:1], unb64(material)[1:]
    if kind != ED25519 or key != key_id(name, kind, public).hex():
        raise ValueError("not the vkey of an Ed25519 log key")
    return name, bytes.fromhex(key), Ed25519PublicKey.from_public_bytes(public)


class Cosigner:
    """An Ed25519 cosigner (tlog-cosignature)."""

    def __init__(self, name: str, seed: bytes):
        self.name = name
        self.private = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self.private.public_key().public_bytes_raw()
        self.id = key_id(name, COSIGNATURE, self.public)

    def vkey(self) -> str:
        return f"{self.name}+{self.id.hex()}+{b64(COSIGNATURE + self.public)}"

    def line(self, text: str, timestamp: int) -> str:
        """tlog-cosignature, "Format" and "Ed25519 signed message"."""
        signature = self.private.sign(f"cosignature/v1\ntime {timestamp}\n{text}".encode())
        return f"— {self.name} {b64(self.id + struct.pack('>Q', timestamp) + signature)}\n"


def consistent(old: int, new: int, old_root: bytes, new_root: bytes, proof: list[bytes]) -> bool:
    """Check a proof by walking SUBPROOF of RFC 6962, Section 2.1.2; 0 < old <= new."""
    hashes = iter(proof)

    def node(left: bytes, right: bytes) -> bytes:
        return hashlib.sha256(b"\x01" + left + right).digest()

    def roots(m: int, n: int, complete: bool) -> tuple[bytes, bytes]:
        """The hashes of the first m and of all n leaves of one subtree."""
        if m == n:
            known = old_root if complete else next(hashes)
            return known, known
        k = 1 << (n - 1).bit_length() - 1
        if m <= k:
            before, left = roots(m, k, complete)
            return before, node(left, next(hashes))
        before, right = roots(m - k, n - k, False)
        left = next(hashes)
        return node(left, before), node(left, right)

    try:
        return roots(old, new, True) == (old_root, new_root) and not list(hashes)
    except StopIteration:
        return False


class Witness:
    """tlog-witness, "add-checkpoint"."""

    def __init__(self, cosigner: Cosigner, vkeys: list[str], state: str | None, clock: int | None):
        self.cosigner, self.state, self.clock = cosigner, state, clock
        self.lock = threading.Lock()
        self.logs = {}  # origin -> {(key name, key ID): key}
        for name, key, public in map(parse_vkey, vkeys):
            self.logs.setdefault(name, {})[name, key] = public
        self.latest = {}  # origin -> {"size": number, "root": base64}
        if state and os.path.exists(state):
            with open(state, encoding="utf-8") as file:
                self.latest = json.load(file)

    def add_checkpoint(self, body: bytes) -> Reply:
        old, proof, checkpoint = parse_request(body)
        self.authenticate(checkpoint)
        if old > checkpoint.size:
            raise Refused(400, "the old size is larger than the checkpoint size")
        with self.lock:
            self.advance(old, proof, checkpoint)
            return self.cosign(checkpoint.text, self.clock or int(time.time()))

    def authenticate(self, checkpoint: Checkpoint) -> None:
        """One trusted signature at least, and none that fails to verify."""
        if checkpoint.origin not in self.logs:
            raise Refused(404, "unknown origin")
        trusted = self.logs[checkpoint.origin]
        known = [s for s in checkpoint.signatures if s[:2] in trusted]
        try:
            for name, key, signature in known:
                trusted[name, key].verify(signature, checkpoint.text.encode())
        except InvalidSignature:
            known = []
        if not known:
            raise Refused(403, "no valid signature from a trusted key")

    def advance(self, old: int, proof: list[bytes], checkpoint: Checkpoint) -> None:
        """Check against the latest checkpoint and record the new one; the lock is held."""
        empty = hashlib.sha256(b"").digest()  # RFC 6962, Section 2.1
        latest = self.latest.get(checkpoint.origin, {"size": 0, "root": b64(empty)})
        size, root = latest["size"], unb64(latest["root"])
        if old != size:
            raise conflict(size)
        if checkpoint.size == 0 and checkpoint.root != empty:
            raise Refused(422, "wrong root hash for the empty tree")
        if old in (0, checkpoint.size) and proof:
            raise Refused(422, "the consistency proof must be empty")
        if old == checkpoint.size and root != checkpoint.root:
            raise Refused(422, "another root at the same size")  # 409 in v1.0.0
        if old and not consistent(old, checkpoint.size, root, checkpoint.root, proof):
            raise Refused(422, "the consistency proof does not verify")
        record = {"size": checkpoint.size, "root": b64(checkpoint.root)}
        latest = {**self.latest, checkpoint.origin: record}
        self.persist(latest)
        self.latest = latest

    def persist(self, latest: dict) -> None:
        if self.state:
            with open(self.state + ".new", "w", encoding="utf-8") as file:
                json.dump(latest, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(self.state + ".new", self.state)

    def cosign(self, text: str, now: int) -> Reply:
        return Reply(200, self.cosigner.line(text, now).encode())


class Misbehaving(Witness):
    """A witness that keeps its state properly but answers badly.

    `redirect` and `503-once` come before any check, the conflicts after the
    checks of the request alone; all others replace the answer of status 200.
    """

    KINDS = ("wrong-key other-checkpoint future garbage huge slow conflict-forever conflict-lies "
             "redirect many-lines two-lines 503-once no-body").split()

    def __init__(self, kind: str, *args):
        super().__init__(*args)
        self.kind = kind
        self.refusals = itertools.count()
        secret = self.cosigner.private.private_bytes_raw()
        self.other = Cosigner(self.cosigner.name, hashlib.sha256(b"another key" + secret).digest())

    def add_checkpoint(self, body: bytes) -> Reply:
        if self.kind == "redirect":
            raise Refused(302, "elsewhere", {"Location": "/elsewhere"})
        if self.kind == "503-once" and next(self.refusals) == 0:
            raise Refused(503, "come back later", {"Retry-After": "1"})
        return super().add_checkpoint(body)

    def advance(self, old: int, proof: list[bytes], checkpoint: Checkpoint) -> None:
        if self.kind == "conflict-forever":  # a possible size, other than the one sent
            raise conflict((old + 1) % (checkpoint.size + 1))
        if self.kind == "conflict-lies":
            raise conflict(checkpoint.size + 1000)
        super().advance(old, proof, checkpoint)

    def cosign(self, text: str, now: int) -> Reply:
        good = super().cosign(text, now).body
        other = self.other.line(text, now).encode()
        if self.kind == "huge":
            return Reply(200, b"", {"Connection": "close"}, itertools.repeat(other * 400))
        if self.kind == "slow":
            return Reply(200, good, {}, (time.sleep(2) or bytes([b]) for b in good))
        if self.kind == "future":
            return super().cosign(text, now + YEAR)
        if self.kind == "other-checkpoint":
            origin, size, root = text.split("\n")[:3]
            another = b64(hashlib.sha256(root.encode()).digest())
            return super().cosign(f"{origin}\n{size}\n{another}\n", now)
        if self.kind == "many-lines":  # the good line is the last of 10,000
            lines = (f"— other.example/{i} {b64(os.urandom(76))}\n" for i in range(9999))
            return Reply(200, "".join(lines).encode() + good)
        bodies = {"wrong-key": other, "two-lines": other + good, "garbage": os.urandom(1024), "no-body": b""}
        return Reply(200, bodies.get(self.kind, good))


class Handler(BaseHTTPRequestHandler):
    """HTTP/1.1 with keep-alive (tlog-witness, "HTTP Interface")."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = b""
        try:
            body = self.read_body()
            if not self.path.endswith("/add-checkpoint"):
                raise Refused(404, "no such page")
            if self.command != "POST":
                raise Refused(405, "use POST", {"Allow": "POST"})
            reply = self.server.witness.add_checkpoint(body)
        except Refused as refused:
            reply = refused.reply
        self.server.record(self.command, self.path, body, reply.status)
        with contextlib.suppress(ConnectionError):
            self.send(reply)

    do_GET = do_PUT = do_POST

    def read_body(self) -> bytes:
        """The body by its length or in chunks (RFC 9112, Sections 6 and 7.1)."""
        try:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
        except ValueError as error:
            raise Refused(400, "bad HTTP framing", {"Connection": "close"}) from error
        if len(body) > MAX_BODY:
            raise Refused(413, "the request is too large")
        return body

    def send(self, reply: Reply) -> None:
        headers = {"Content-Type": "text/plain; charset=utf-8", **reply.headers}
        if "Connection" not in headers:
            headers["Content-Length"] = str(len(reply.body))
        self.send_response(reply.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        for piece in reply.pieces or [reply.body]:
            self.wfile.write(piece)

    def log_message(self, *args) -> None:
        """Keep standard error quiet; --log-file has the requests."""


class Server(ThreadingHTTPServer):
    request_queue_size = 64

    def __init__(self, port: int, witness: Witness, log_file: str | None):
        super().__init__(("127.0.0.1", port), Handler)
        self.witness, self.log_file, self.log_lock = witness, log_file, threading.Lock()

    def record(self, method: str, path: str, body: bytes, status: int) -> None:
        """Append one request to the log file, before its response is sent."""
        if self.log_file:
            text = body.decode("utf-8", "backslashreplace")
            entry = {"method": method, "path": path, "body": text, "status": status}
            with self.log_lock, open(self.log_file, "a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    serve = parser.add_subparsers(required=True).add_parser("serve", help="run a witness until killed")
    serve.add_argument("--name", required=True, help="key name of the witness")
    serve.add_argument("--seed", required=True, type=bytes.fromhex, help="Ed25519 seed, 64 hex digits")
    serve.add_argument("--log", required=True, action="append", help="vkey of a log; its name is the origin")
    serve.add_argument("--port", type=int, default=0)
    serve.add_argument("--state", metavar="FILE", help="keep the latest checkpoints here")
    serve.add_argument("--clock", type=int, metavar="SECONDS", help="POSIX time of every cosignature")
    serve.add_argument("--log-file", metavar="FILE", help="append every request as a line of JSON")
    serve.add_argument("--misbehave", choices=Misbehaving.KINDS)
    args = parser.parse_args()
    cosigner = Cosigner(args.name, args.seed)
    settings = (cosigner, args.log, args.state, args.clock)
    witness = Misbehaving(args.misbehave, *settings) if args.misbehave else Witness(*settings)
    server = Server(args.port, witness, args.log_file)
    print(json.dumps({"url": f"http://127.0.0.1:{server.server_port}", "vkey": cosigner.vkey()}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
