#!/usr/bin/env python3
"""Tests of witness.py: run `python3 tests/witness_selftest.py`.

The logs here are built straight from the definitions of RFC 6962; the witness
runs as a process of its own and is spoken to over HTTP.
"""

import hashlib
import http.client
import json
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from base64 import b64decode, b64encode
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

import witness

NAME, SEED = "witness.example/w1", "07" * 32
CLOCK = 1679315147
ORIGIN = "example.com/log"


# RFC 6962, Section 2.1


def split(n):
    """The largest power of two smaller than n."""
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def mth(leaves):
    if len(leaves) < 2:
        return hashlib.sha256(b"\0" + leaves[0] if leaves else b"").digest()
    k = split(len(leaves))
    return hashlib.sha256(b"\1" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def subproof(m, leaves, complete):
    if m == len(leaves):
        return [] if complete else [mth(leaves)]
    k = split(len(leaves))
    if m <= k:
        return subproof(m, leaves[:k], complete) + [mth(leaves[k:])]
    return subproof(m - k, leaves[k:], False) + [mth(leaves[:k])]


def leaves(n):
    return [b"leaf %d" % i for i in range(n)]


def prove(m, n):
    return subproof(m, leaves(n), True) if m else []


# A log and its requests


class Log:
    def __init__(self, origin, seed=b"\1" * 32):
        self.origin, self.key = origin, Ed25519PrivateKey.from_private_bytes(seed)
        public = b"\1" + self.key.public_key().public_bytes_raw()
        self.id = hashlib.sha256(origin.encode() + b"\n" + public).digest()[:4]
        self.vkey = f"{origin}+{self.id.hex()}+{b64encode(public).decode()}"

    def text(self, n, root=None, extension=""):
        root = b64encode(mth(leaves(n)) if root is None else root).decode()
        return f"{self.origin}\n{n}\n{root}\n{extension}"

    def line(self, text):
        return f"— {self.origin} {b64encode(self.id + self.key.sign(text.encode())).decode()}\n"

    def note(self, n, root=None, extension=""):
        text = self.text(n, root, extension)
        return f"{text}\n{self.line(text)}"

    def request(self, m, n, proof=None, **options):
        return body(m, prove(m, n) if proof is None else proof, self.note(n, **options))


def body(old, proof, note):
    return f"old {old}\n" + "".join(b64encode(h).decode() + "\n" for h in proof) + "\n" + note


def verify_cosignature(line, vkey, text):
    """Return the timestamp of a cosignature (tlog-cosignature)."""
    name, key, material = vkey.split("+", 2)
    dash, signer, blob = line.removesuffix("\n").split(" ")
    assert (dash, signer) == ("—", name), line
    blob, material = b64decode(blob), b64decode(material)
    assert len(blob) == 76 and material[0] == 4 and len(material) == 33
    assert hashlib.sha256(name.encode() + b"\n" + material).digest()[:4].hex() == key == blob[:4].hex()
    timestamp = struct.unpack(">Q", blob[4:12])[0]
    message = f"cosignature/v1\ntime {timestamp}\n{text}".encode()
    Ed25519PublicKey.from_public_bytes(material[1:]).verify(blob[12:], message)
    return timestamp


class Running:
    """A witness process and one keep-alive connection to it."""

    def __init__(self, *logs, options=()):
        command = [sys.executable, witness.__file__, "serve", "--name", NAME, "--seed", SEED, *options]
        for log in logs:
            command += ["--log", log.vkey]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        hello = json.loads(self.process.stdout.readline())
        self.vkey, self.address = hello["vkey"], hello["url"].removeprefix("http://")
        self.connection = self.connect()

    def connect(self):
        return http.client.HTTPConnection(self.address, timeout=10)

    def post(self, data, path="/add-checkpoint", method="POST", connection=None):
        connection = connection or self.connection
        connection.request(method, path, data if isinstance(data, bytes) else data.encode())
        response = connection.getresponse()
        return response.status, response.read(), response.headers

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class KnownAnswers(unittest.TestCase):
    def test_signed_note_example(self):
        """signed-note, "Example"."""
        name, key, public = witness.parse_vkey(
            "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
        signature = witness.unb64("Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1E"
                                  "RYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=")
        self.assertEqual((name, key), ("example.com/foo", signature[:4]))
        public.verify(signature[4:], b"This is an example message.\n")

    def test_cosignature_example_layout(self):
        """tlog-cosignature's example carries the time of its signed message."""
        note = ("example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
                "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZC"
                "B9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n")
        checkpoint = witness.parse_checkpoint(note)
        self.assertEqual(checkpoint.size, 20852163)
        self.assertEqual(struct.unpack(">Q", checkpoint.signatures[0][2][:8])[0], 1679315147)

    def test_rfc6962_tree(self):
        """The well-known eight leaves of the Certificate Transparency test data."""
        data = [bytes.fromhex(h) for h in ["", "00", "10", "2021", "3031", "40414243",
                                           "5051525354555657", "606162636465666768696a6b6c6d6e6f"]]
        self.assertEqual(mth(data).hex(), "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328")
        self.assertEqual([h.hex() for h in subproof(6, data, True)], [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"])


class Honest(unittest.TestCase):
    def setUp(self):
        self.log = Log(ORIGIN)
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return str(Path(self.folder.name) / name)

    def serve(self, *logs, options=()):
        running = Running(*(logs or [self.log]), options=options)
        self.addCleanup(running.__exit__)
        return running

    def accept(self, server, m, n, log=None):
        log = log or self.log
        status, answer, _ = server.post(log.request(m, n))
        self.assertEqual((status, answer.count(b"\n")), (200, 1), (m, n, answer))
        return verify_cosignature(answer.decode(), server.vkey, log.text(n))

    def refuse(self, server, status, data, size=None):
        got, answer, headers = server.post(data)
        self.assertEqual(got, status, (data, answer))
        if size is not None:
            self.assertEqual(answer, b"%d\n" % size)
            self.assertEqual(headers["Content-Type"], "text/x.tlog.size")

    def test_every_proof(self):
        """All pairs 0..20 x 0..20, each in a log of its own; altered proofs are refused first."""
        pairs = [(m, n) for m in range(21) for n in range(21)]
        logs = {pair: Log("example.com/%d/%d" % pair) for pair in pairs}
        server = self.serve(*logs.values())
        for (m, n), log in logs.items():
            self.accept(server, 0, m, log)
            if m > n:
                self.refuse(server, 400, log.request(m, n, proof=[]))
                continue
            proof = prove(m, n)
            altered = [proof + [bytes(32)], [bytes(32)] + proof]
            altered += [proof[:i] + proof[i + 1:] for i in range(len(proof))]
            altered += [proof[:i] + [bytes(32)] + proof[i + 1:] for i in range(len(proof))]
            for bad in altered:
                self.refuse(server, 422, log.request(m, n, proof=bad))
            if 0 < m < n:
                self.refuse(server, 422, log.request(m, n, root=bytes(32)))
            self.accept(server, m, n, log)
            if m < n:
                self.refuse(server, 409, log.request(m, n), size=n)

    def test_old_root_is_the_recorded_one(self):
        """A proof from another old tree of the same size does not verify."""
        for m in range(1, 7):
            server = self.serve()
            self.assertEqual(server.post(self.log.request(0, m, root=mth([b"fork"] * m)))[0], 200)
            self.refuse(server, 422, self.log.request(m, 7))

    def test_conflicts(self):
        server = self.serve()
        self.refuse(server, 409, self.log.request(3, 5), size=0)
        self.accept(server, 0, 5)
        self.refuse(server, 409, self.log.request(0, 8), size=5)
        self.refuse(server, 409, self.log.request(4, 5), size=5)
        self.refuse(server, 409, self.log.request(6, 8), size=5)
        self.refuse(server, 409, self.log.request(3, 4), size=5)
        self.refuse(server, 422, self.log.request(5, 5, root=bytes(32)))
        self.refuse(server, 422, self.log.request(5, 5, root=bytes(32), proof=[bytes(32)]))
        self.accept(server, 5, 5)
        self.accept(server, 5, 8)

    def test_empty_tree(self):
        server = self.serve()
        self.refuse(server, 422, self.log.request(0, 0, root=bytes(32)))
        self.refuse(server, 422, self.log.request(0, 0, proof=[bytes(32)]))
        self.refuse(server, 422, self.log.request(0, 3, proof=[bytes(32)]))
        self.accept(server, 0, 0)
        self.accept(server, 0, 3)
        self.refuse(server, 409, self.log.request(0, 0), size=3)

    def test_signatures(self):
        server = self.serve()
        text, good = self.log.text(3), self.log.line(self.log.text(3))
        stranger = Log(ORIGIN, b"\2" * 32).line(text)
        bad = self.log.line(self.log.text(4))
        other_name = good.replace(ORIGIN, "example.com/other")
        self.refuse(server, 404, Log("example.com/unknown").request(0, 3))
        for lines in (stranger, bad, other_name, bad + good, good + bad):
            self.refuse(server, 403, body(0, [], text + "\n" + lines))
        self.refuse(server, 403, body(4, [], text + "\n" + stranger))
        status, answer, _ = server.post(body(0, [], text + "\n" + stranger * 15 + other_name + good))
        self.assertEqual(status, 200)
        verify_cosignature(answer.decode(), server.vkey, text)

    def test_two_keys_of_one_log(self):
        second = Log(ORIGIN, b"\2" * 32)
        server = self.serve(self.log, second)
        self.accept(server, 0, 3, self.log)
        self.accept(server, 3, 6, second)

    def test_extension_lines_are_cosigned(self):
        server = self.serve()
        extension = "an extension\nand Ünicode\n"
        status, answer, _ = server.post(self.log.request(0, 3, extension=extension))
        self.assertEqual(status, 200)
        verify_cosignature(answer.decode(), server.vkey, self.log.text(3, extension=extension))
        with self.assertRaises(InvalidSignature):
            verify_cosignature(answer.decode(), server.vkey, self.log.text(3))

    def test_malformed(self):
        server = self.serve()
        self.accept(server, 0, 4)
        good, note = self.log.request(4, 6), self.log.note(6)
        text, line = self.log.text(6), self.log.line(self.log.text(6))
        root = text.split("\n")[2]
        sizes = ["06", "+6", " 6", "6 ", "-6", "٦", "", "x", str(2**63)]
        roots = [root[:-4], "!" + root[1:], root + "\r", root[:-2] + chr(ord(root[-2]) + 1) + "="]
        texts = [f"{ORIGIN}\n{size}\n{root}\n" for size in sizes]
        texts += [f"{ORIGIN}\n6\n{bad}\n" for bad in roots]
        texts += [f"{ORIGIN}\n6\n", f"\n6\n{root}\n", text + "\nafter an empty line\n", text + "tab\there\n"]
        notes = [f"{t}\n{self.log.line(t)}" for t in texts]
        notes += [text, text + "\n", text + line, note[:-1], note + "\n", "\n" + note]
        ends = ["no signature", "— name with spaces AAAAAAAA", f"— {ORIGIN} AAAA", "— a+b AAAAAAAA",
                f"- {ORIGIN} AAAAAAAA", f"— {ORIGIN} AAAAAAA", "—  AAAAAAAA"]
        notes += [f"{note}{end}\n" for end in ends]
        heads = ["", "old 4\n", "\n\n", "4\n\n", "old\n\n", "Old 4\n\n", "old  4\n\n", "old 4 \n\n",
                 "old 04\n\n", "old +4\n\n", "old -4\n\n", f"old {2**63}\n\n", "old 4\r\n\r\n",
                 "old 4\nAAAA\n\n", "old 4\n@\n\n", "old 4\n \n\n"]
        requests = [f"old 4\n\n{bad}" for bad in notes] + [head + note for head in heads]
        requests += ["", "\n", "old 4\n\n", good.encode() + b"\xff\n", good.encode()[:-3]]
        requests += [body(4, [bytes(32)] * 64, note)]
        for data in requests:
            self.refuse(server, 400, data)
        self.refuse(server, 400, self.log.request(7, 6, proof=[]))
        self.refuse(server, 422, body(4, [bytes(32)] * 63, note))
        self.accept(server, 4, 6)

    def test_http(self):
        server = self.serve()
        good = self.log.request(0, 3)
        self.assertEqual(server.post(good, path="/")[0], 404)
        self.assertEqual(server.post(good, path="/add-checkpoint/")[0], 404)
        self.assertEqual(server.post("", method="GET")[0], 405)
        self.assertEqual(server.post("x" * 300000)[0], 413)
        headers = {"Transfer-Encoding": "chunked"}
        chunks = iter([good[:9].encode(), good[9:].encode()])
        server.connection.request("POST", "/add-checkpoint", chunks, headers, encode_chunked=True)
        response = server.connection.getresponse()
        verify_cosignature(response.read().decode(), server.vkey, self.log.text(3))
        good = self.log.request(3, 4)
        self.assertEqual(server.post(good, path="/some/prefix/add-checkpoint")[0], 200)

    def test_clock(self):
        now = time.time()
        self.assertAlmostEqual(self.accept(self.serve(), 0, 3), now, delta=5)
        self.assertEqual(self.accept(self.serve(options=["--clock", str(CLOCK)]), 0, 3), CLOCK)

    def test_state(self):
        options = ["--state", self.path("state")]
        with Running(self.log, options=options) as server:
            self.accept(server, 0, 5)
            self.refuse(server, 422, self.log.request(5, 7, proof=[]))
        server = self.serve(options=options)
        self.refuse(server, 409, self.log.request(0, 7), size=5)
        self.accept(server, 5, 7)

    def test_request_log(self):
        server = self.serve(options=["--log-file", self.path("requests")])
        posts = [("POST", "/p/add-checkpoint", self.log.request(0, 3), 200), ("GET", "/x", "", 404),
                 ("POST", "/add-checkpoint", self.log.request(0, 4), 409)]
        for method, path, data, status in posts:
            self.assertEqual(server.post(data, path, method)[0], status)
        lines = Path(self.path("requests")).read_text(encoding="utf-8").splitlines()
        keys = ("method", "path", "body", "status")
        self.assertEqual([json.loads(line) for line in lines], [dict(zip(keys, post)) for post in posts])

    def test_concurrent_requests(self):
        """Of many requests with the same old size, exactly one is cosigned."""
        server = self.serve(options=["--state", self.path("state")])
        size = 0
        for _ in range(5):
            barrier, answers = threading.Barrier(12), []

            def post(n):
                connection = server.connect()
                barrier.wait()
                answers.append((n, *server.post(self.log.request(size, n), connection=connection)))
                connection.close()

            threads = [threading.Thread(target=post, args=(size + i,)) for i in range(1, 13)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            winners = [n for n, status, _, _ in answers if status == 200]
            self.assertEqual(len(winners), 1)
            losers = {(status, answer) for n, status, answer, _ in answers if n != winners[0]}
            self.assertEqual(losers, {(409, b"%d\n" % winners[0])})
            size = winners[0]


class Misbehaviour(unittest.TestCase):
    def serve(self, kind, *options):
        self.log = Log(ORIGIN)
        server = Running(self.log, options=["--misbehave", kind, *options])
        self.addCleanup(server.__exit__)
        self.text = self.log.text(3)
        return server

    def first(self, kind, *options):
        """The answer to one good request, and the witness."""
        server = self.serve(kind, *options)
        return server.post(self.log.request(0, 3)), server

    def test_every_kind_still_checks_requests(self):
        for kind in sorted(set(witness.Misbehaving.KINDS) - {"redirect", "503-once"}):
            server = self.serve(kind)
            self.assertEqual(server.post("nonsense")[0], 400, kind)
            self.assertEqual(server.post(Log("example.com/unknown").request(0, 3))[0], 404, kind)

    def test_wrong_key(self):
        (status, answer, _), server = self.first("wrong-key")
        key, own = b64decode(answer.split(b" ")[2])[:4].hex(), server.vkey.split("+")[1]
        self.assertEqual((status, answer.decode().split(" ")[1]), (200, NAME))
        self.assertNotEqual(key, own)

    def test_other_checkpoint(self):
        (status, answer, _), server = self.first("other-checkpoint")
        self.assertEqual(status, 200)
        with self.assertRaises(InvalidSignature):
            verify_cosignature(answer.decode(), server.vkey, self.text)

    def test_future(self):
        (_, answer, _), server = self.first("future", "--clock", str(CLOCK))
        self.assertEqual(verify_cosignature(answer.decode(), server.vkey, self.text), CLOCK + witness.YEAR)

    def test_garbage_and_no_body(self):
        (status, answer, _), _ = self.first("garbage")
        self.assertEqual((status, len(answer)), (200, 1024))
        (status, answer, _), _ = self.first("no-body")
        self.assertEqual((status, answer), (200, b""))

    def test_huge(self):
        server = self.serve("huge")
        server.connection.request("POST", "/add-checkpoint", self.log.request(0, 3).encode())
        response = server.connection.getresponse()
        self.assertEqual(len(response.read(20_000_000)), 20_000_000)
        response.close()
        server.connection.close()
        self.assertEqual(server.post("nonsense")[0], 400)

    def test_slow(self):
        server = self.serve("slow")
        start = time.monotonic()
        server.connection.request("POST", "/add-checkpoint", self.log.request(0, 3).encode())
        response = server.connection.getresponse()
        self.assertEqual(response.read(2), "—".encode()[:2])
        self.assertGreater(time.monotonic() - start, 3.5)
        other = server.connect()
        self.assertEqual(server.post("nonsense", connection=other)[0], 400)
        other.close()
        response.close()

    def test_conflict_forever(self):
        server, old = self.serve("conflict-forever"), 0
        for _ in range(10):
            status, answer, headers = server.post(self.log.request(old, 3))
            self.assertEqual((status, headers["Content-Type"]), (409, "text/x.tlog.size"))
            self.assertNotEqual(int(answer), old)
            self.assertLessEqual(int(answer), 3)
            old = int(answer)

    def test_conflict_lies(self):
        (status, answer, headers), _ = self.first("conflict-lies")
        self.assertEqual((status, headers["Content-Type"]), (409, "text/x.tlog.size"))
        self.assertGreater(int(answer), 3)

    def test_redirect(self):
        (status, _, headers), _ = self.first("redirect")
        self.assertEqual((status, headers["Location"]), (302, "/elsewhere"))

    def test_many_lines(self):
        (status, answer, _), server = self.first("many-lines")
        lines = answer.decode().splitlines(keepends=True)
        self.assertEqual((status, len(lines)), (200, 10000))
        verify_cosignature(lines[-1], server.vkey, self.text)

    def test_two_lines(self):
        (status, answer, _), server = self.first("two-lines")
        first, second = answer.decode().splitlines(keepends=True)
        self.assertEqual(status, 200)
        self.assertNotEqual(b64decode(first.split(" ")[2])[:4].hex(), server.vkey.split("+")[1])
        verify_cosignature(second, server.vkey, self.text)

    def test_503_once(self):
        (status, _, headers), server = self.first("503-once")
        self.assertEqual((status, headers["Retry-After"]), (503, "1"))
        status, answer, _ = server.post(self.log.request(0, 3))
        self.assertEqual(status, 200)
        verify_cosignature(answer.decode(), server.vkey, self.text)


if __name__ == "__main__":
    unittest.main()
