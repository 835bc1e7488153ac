#!/usr/bin/env python3
"""Compares what two readers say of archives: archive_reader.py, and the binary.

    archive_compare.py [--verbose] BINARY DIR

Each folder F of DIR with an archive.toml is an archive. F.trust.json beside it says whom to trust:
{"keys": [line…], "log_keys": [line…], "policies": [file of DIR…], "at": seconds}. Where it names
nobody, all keys in the leaves are trusted, and the log's key of archive.toml. A text "open" in it is
why the two are known to differ; then it is a fault if they do not.

Both must give one answer to these questions: is the archive right, is it witnessed, is it fresh,
which leaves are void, which articles are current and which leaf gives each. Of some articles of each
archive that is right the binary also makes proofs, of which both must say the same; changed proofs
both must refuse.
"""

import argparse
import base64
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

import archive_reader
import reader

PROVED = 2  # articles of an archive
CHANGED = 16  # of one in so many archives also changed proofs are tried


def named_by(path):
    """The log key that an archive calls its own, and all keys that have signed in its log."""
    label = archive_reader.read(os.path.join(path, "archive.toml"), archive_reader.NOTE) or b""
    log_lines, lines = re.findall(rb'^log = "([^"\n]+)"$', label, re.MULTILINE), set()
    for folder, _, names in os.walk(os.path.join(path, "tile", "entries")):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                lines |= set(re.findall(rb"^signature (\S+) ", file.read(), re.MULTILINE))
    return sorted(filter(is_key(reader.parse_key), lines)), list(filter(is_key(archive_reader.parse_vkey), log_lines))


def is_key(parse):
    def parses(line):
        try:
            return bool(parse(line.decode()))
        except ValueError:
            return False

    return parses


class Trust:
    """Whom to trust for an archive, as its trust.json states it; if that is nobody, whom it names itself."""

    def __init__(self, path):
        folder = os.path.dirname(os.path.abspath(path))
        stated = json.loads(archive_reader.read(path + ".trust.json", archive_reader.NOTE) or "{}")
        self.open, self.at = stated.get("open"), stated.get("at", int(time.time()))
        lines, self.log_lines = stated.get("keys", []), stated.get("log_keys", [])
        if not any(map(stated.get, ("keys", "log_keys", "policies"))):
            lines, self.log_lines = ([line.decode() for line in each] for each in named_by(path))
        self.lines = lines + self.log_lines
        self.policies = [os.path.join(folder, name) for name in stated.get("policies", [])]
        keys = map(reader.parse_key, lines)
        self.log_keys = list(map(archive_reader.parse_vkey, self.log_lines))
        policies = [archive_reader.read(policy, archive_reader.POLICY) or b"" for policy in self.policies]
        self.for_reader = archive_reader.Trust(keys, self.log_keys, policies)


class Binary:
    """The binary with a configuration of its own, in which it trusts whom it is told."""

    def __init__(self, path, folder, trust):
        self.path, self.folder = os.path.abspath(path), folder
        self.environment = os.environ | {"VELLUM_CONFIG": os.path.join(folder, "config")}
        for line in trust.lines:
            self.run("key", "trust", line, may=(0,))
        for policy in trust.policies:
            self.run("trust", "pin", policy, may=(0,))

    def run(self, *arguments, may=(0, 1)):
        command = [self.path, *arguments]
        done = subprocess.run(command, capture_output=True, env=self.environment, cwd=self.folder, timeout=300)
        if done.returncode not in may:
            raise RuntimeError(f"{arguments} ended with {done.returncode}: {done.stderr.decode()[-500:]}")
        return done

    def lines(self, *arguments):
        """The exit code, and the lines of JSON. An archive that cannot be opened at all ends with 2."""
        done = self.run("--json", *arguments, may=(0, 1, 2))
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines() if line.startswith(b"{")]

    def verdict(self, archive, at):
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
        code, lines = self.lines("verify", "--at", at, archive)
        said = {"right": code == 0, "lines": lines}
        for summary in (line for line in lines if line.get("kind") == "archive"):
            void = {line["place"] for line in lines if line.get("code") == "void"}
            said["void"] = sorted(int(place.split()[1]) for place in void if place.startswith("leaf "))
            said |= {word: summary[word]["is"] for word in ("witnessed", "fresh")}
        code, articles = self.lines("list", archive)
        if code == 0:
            said["articles"] = {line["id"]: line["leaf"] for line in articles if line.get("kind") == "article"}
        return said


# ---------------------------------------------------------------- proofs


def changed(proof):
    """Changes of a proof after which it must not be taken, each with a name."""
    head, note = proof.split(b"\n\n", 1)
    title, extra, index, *hashes = head.split(b"\n")
    number, inner = int(index.split()[1]), base64.b64decode(extra.split()[1])
    origin, size, root, blank, *signatures = note.split(b"\n")

    def proof_of(title=title, inner=inner, number=number, hashes=hashes, note=note):
        extra = b"extra " + base64.b64encode(inner)
        return b"\n".join([title, extra, b"index %d" % number, *hashes]) + b"\n\n" + note

    def flipped(data, at):
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]

    yield "version", proof_of(title=title[:-1] + b"2")
    yield "index", proof_of(number=int(size))
    yield "one hash more", proof_of(hashes=[*hashes, base64.b64encode(bytes(32))])
    if hashes:
        yield "one hash less", proof_of(hashes=hashes[:-1])
        yield "another hash", proof_of(hashes=[base64.b64encode(bytes(32)), *hashes[1:]])
    yield "size", proof_of(note=b"\n".join([origin, b"%d" % (int(size) + 1), root, blank, *signatures]))
    yield "unsigned", proof_of(note=b"\n".join([origin, size, root, blank, b""]))
    yield "no checkpoint", proof_of(note=b"")
    yield "more after it", proof + b"\n"
    yield "cut", proof[:-1]
    yield "CR LF", proof.replace(b"\n", b"\r\n")
    for part in b"leaf ", b"id ", b"lines ", b"path ":
        at = inner.index(b"\n" + part) + 1
        yield f"{part.decode()}is absent", proof_of(inner=inner[:at] + inner[at + len(part) + 5 :])
        yield f"{part.decode()}changed", proof_of(inner=flipped(inner, inner.index(b"\n", at) + 1))
    yield "the last byte of the inner proof", proof_of(inner=flipped(inner, len(inner) - 2))
    yield "more in the inner proof", proof_of(inner=inner + b"\n")


def compare_proofs(binary, archive, articles, trust, whole):
    """How many proofs both took and how many both refused; what was wrong. `whole`: also of changed ones."""
    wrong, counts = [], [0, 0]
    file, document = (os.path.join(binary.folder, name) for name in ("proof", "document"))

    def judge(data, what, may=True):
        with open(file, "wb") as out:
            out.write(data)
        for line, key in zip(trust.log_lines, trust.log_keys):
            theirs = binary.run("verify", "--proof", file, "--log-key", line, document).returncode == 0
            found, _ = archive_reader.judge_proof(file, document, [key])
            counts[not theirs] += 1
            if theirs != found.ok() or (theirs and not may):
                wrong.append(f"proof, {what}: binary {theirs}, reader {found.ok()} {found}")

    for ident in articles:
        if os.path.exists(file):
            os.remove(file)
        done = binary.run("prove", "-o", file, archive, ident)
        if done.returncode != 0:
            wrong.append(f"no proof of {ident}: {done.stderr.decode().strip()}")
            continue
        proof = archive_reader.read(file, 3 * reader.LINES)
        inner = base64.b64decode(proof.split(b"\n")[1].split()[1])
        paths = [line[1] for line in re.finditer(b"[0-9a-f]{64}  data/(.*)\n", inner)]
        path = next(path for path in reversed(paths) if not path.endswith(b"/article.toml"))
        with open(document, "wb") as out:
            out.write(binary.run("cat", archive, os.fsdecode(path)).stdout)
        judge(proof, ident)
        for what, data in changed(proof) if whole and ident == articles[0] else ():
            judge(data, f"{ident}, {what}", may=False)
        with open(document, "ab") as out:
            out.write(b"x")
        judge(proof, f"{ident}, another document", may=False)
    return counts, wrong


# ---------------------------------------------------------------- archives


def compare(task):
    """One archive: its name, counts of proofs, whether it is right, what is different, why, and what was said."""
    number, path, vellum = task
    trust = Trust(path)
    mine = archive_reader.verdict(path, trust.for_reader, trust.at)
    with tempfile.TemporaryDirectory() as work:
        archive = os.path.join(work, "archive")
        # The binary keeps its catalog there.
        shutil.copytree(path, archive, ignore=shutil.ignore_patterns(".vellum"))
        binary = Binary(vellum, work, trust)
        theirs, proofs = binary.verdict(archive, trust.at), (0, 0)
        if "void" in mine:
            mine["void_because"], mine["void"] = mine["void"], sorted(mine["void"])
        asked = [
            word for word in ("right", "void", "articles", "witnessed", "fresh") if word in mine and word in theirs
        ]
        different = [
            f"{word}: binary {theirs[word]}, reader {mine[word]}" for word in asked if theirs[word] != mine[word]
        ]
        if theirs["right"] and mine["right"] and not different and trust.log_keys:
            articles = [ident for ident in mine["articles"] if not ident.startswith("-")][:PROVED]
            proofs, wrong = compare_proofs(binary, archive, articles, trust, number % CHANGED == 0)
            different += wrong
    return os.path.basename(path), proofs, mine["right"], different, trust.open, [mine, *theirs["lines"]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--verbose", action="store_true", help="print what both said of archives that differ")
    parser.add_argument("binary")
    parser.add_argument("dir")
    args = parser.parse_args()
    names = sorted(os.listdir(args.dir))
    archives = [os.path.join(args.dir, name) for name in names]
    archives = [path for path in archives if os.path.isfile(os.path.join(path, "archive.toml"))]
    right = taken = refused = differ = known = 0
    tasks = [(number, path, args.binary) for number, path in enumerate(archives)]
    with multiprocessing.Pool() as pool:
        for name, proofs, is_right, different, reason, said in pool.imap(compare, tasks):
            right, taken, refused = right + is_right, taken + proofs[0], refused + proofs[1]
            if reason and different:
                known += 1
                print(f"{name}: differs as is known: {reason}")
            elif reason or different:
                differ += 1
                print(f"{name}: DIFFERENT", *different or [f"no more, although: {reason}"], sep="\n    ")
                for line in said if args.verbose else ():
                    print("    |", json.dumps(line, ensure_ascii=False)[:2000])
    left_out = sum(name.endswith(".left-out") for name in names)
    print(
        f"{len(archives)} archives, {right} of them right, {left_out} left out; {taken} proofs taken, {refused} refused"
    )
    print(f"{differ} differ, {known} as is known")
    return 1 if differ or not archives else 0


if __name__ == "__main__":
    sys.exit(main())
