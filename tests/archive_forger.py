"""A writer of bundles and archives, honest and forged ones, written from FORMAT.md alone.

It has every key, also the log's. All that it writes is the same each time.
"""

import base64
import hashlib
import itertools
import json
import os
import struct

import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import archive_reader
import reader

ORIGIN, TIME, NOW, DAY = "t.example/x", "2026-03-01T08:00:00Z", 1_772_400_000, 86_400
ALL = ("root", "publish", "withdraw")


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def b64(data):
    return base64.b64encode(data).decode()


class Key:
    """A key that follows from its name: a signer's, a witness's, or a log's."""

    def __init__(self, name):
        self.name, self.secret = name, Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())
        self.public = self.secret.public_key().public_bytes_raw()
        self.id = hashlib.sha256(self.public).digest()[:8]
        self.line = b64(b"Ed" + self.id + self.public)

    def vkey(self, name=ORIGIN, kind=1):
        return f"{name}+{self.note_id(name, kind).hex()}+{b64(bytes([kind]) + self.public)}"

    def note_id(self, name=ORIGIN, kind=1):
        return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + self.public).digest()[:4]

    def sign(self, kind, content, origin=ORIGIN, digest=None, time=TIME):
        """The signature, the trusted comment, and the global signature."""
        comment = f"vellum/1\t{kind}\tarchive:{origin}\tsha256:{digest or sha256(content)}\ttime:{time}"
        signature = self.secret.sign(hashlib.blake2b(content).digest())
        return signature, comment, self.secret.sign(signature + comment.encode())

    def minisig(self, kind, content, **more):
        signature, comment, last = self.sign(kind, content, **more)
        first = b64(b"ED" + self.id + signature)
        return f"untrusted comment: x\n{first}\ntrusted comment: {comment}\n{b64(last)}\n".encode()

    def minisig_name(self):
        return f"{self.id[::-1].hex().upper()}.minisig"

    def line_of(self, kind, content, id=None, time=TIME, **more):
        """A signature's line in a leaf."""
        signature, _, last = self.sign(kind, content, time=time, **more)
        return f"signature {b64(b'Ed' + (id or self.id) + self.public)} {b64(signature)} {b64(last)} {time}\n"


class Liar(Key):
    """A key whose signatures in files are not what they should be."""

    def __init__(self, name, change=bytes, **more):
        super().__init__(name)
        self.change, self.more = change, more

    def minisig(self, kind, content):
        return self.change(super().minisig(kind, content, **self.more))


ALICE, BOB, CAROL, DAVE, EVE, LOG, LOG2 = map(Key, ("alice", "bob", "carol", "dave", "eve", "log", "second log"))


def lines_of(keys, kind, content, **more):
    return "".join(key.line_of(kind, content, **more) for key in sorted(keys, key=lambda key: key.public))


# ---------------------------------------------------------------- bundles


class Bundle:
    """A bundle of {article's path: text or (text, id)}, each of one file; `more` are further lines of its manifest."""

    def __init__(self, articles, archive=ORIGIN, signers=(ALICE,), was=(), level=3, **more):
        self.articles, self.signers, self.was, self.more, self.archive = articles, signers, was, more, archive
        self.order = sorted(articles, key=lambda path: f"{path}/".encode())
        self.leaves = []  # of each article: its id, the digest of that, the digest of its lines
        contents, metadata, listed, piece = [], [], "", ""
        for path in self.order:
            text, ident = articles[path] if isinstance(articles[path], tuple) else (articles[path], path)
            toml = 'title = "T"\n' + (f'id = "{ident}"\n' if ident != path else "")
            files = [(f"{path}/a.md", text.encode()), (f"{path}/article.toml", toml.encode())]
            contents.append(files[0])
            metadata.append(files[1])
            lines = "".join(f"{sha256(data)}  data/{name}\n" for name, data in files)
            self.leaves.append((ident, sha256(ident.encode()), sha256(lines.encode())))
            listed += lines
            piece += " ".join(str(len(data)) for _, data in files) + (f"\t{ident}" if ident != path else "") + "\n"
        self.manifest = self.write_manifest(contents + metadata, listed.encode())
        self.id = sha256(self.manifest)
        self.file = self.write_file(contents, metadata, listed.encode(), piece.encode(), level)
        self.digest = sha256(self.file)
        self.place = f"bundles/{self.id[:2]}/{self.id}/{self.digest[:16]}.tar.zst"

    def write_manifest(self, files, listed):
        values = {"format": "vellum-manifest/1", "archive": self.archive, "name": "n", "title": "T"}
        values |= {"articles": len(self.articles), "files": len(files), "bytes": sum(len(data) for _, data in files)}
        values |= {"checksums": f"sha256:{sha256(listed)}", "root": f"sha256:{root_of(self.leaves)}"}
        for key in "part", "after", "last", "base", "replaces", "reinstates":
            values[key] = self.more.get(key)
        lines = [f"{key} = {json.dumps(value)}\n" for key, value in values.items() if value is not None]
        return "".join(lines).encode()

    def write_file(self, contents, metadata, listed, piece, level):
        first, at = members(contents, "n/data/"), [0]
        parts = [("manifest-sha256.txt", listed)], [("index/0", piece)]
        for more in members(metadata, "n/data/"), *map(members, parts):
            at.append(len(first))
            first += more
        content_at, metadata_at, list_at, piece_at = at
        index = f"vellum-index/1\nlist {list_at} {len(listed)}\n"
        index += f"block 0 {content_at} {metadata_at} {piece_at} {root_of(self.leaves)} {self.order[0]}\n"
        odd = [leaf[1][:4] for path, leaf in zip(self.order, self.leaves) if leaf[0] != path]
        index += f"ids {''.join(odd)}\n" if odd else ""

        size = sum(len(data) for _, data in contents + metadata)
        bag = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
        tags = {"bagit.txt": bag, "bag-info.txt": f"Payload-Oxum: {size}.{2 * len(contents)}\n".encode()}
        tags |= {"manifest.toml": self.manifest}
        digests = {name: sha256(data) for name, data in (tags | {"manifest-sha256.txt": listed}).items()}
        tag_list = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests)).encode()
        last = [*tags.items(), ("tagmanifest-sha256.txt", tag_list), *signature_files(self.manifest, self.signers)]
        for old, removed in self.was:
            inside = [("manifest.toml", old.manifest), *signature_files(old.manifest, old.signers)]
            inside.append(("removed", removed))
            last += [(f"was/{old.id}/{name}", data) for name, data in inside]
        last.append(("index/head", index.encode()))

        parts = [first, members(last) + bytes(1024)]
        pack = zstandard.ZstdCompressor(level=level, write_checksum=True, write_content_size=True).compress
        frames = [pack(part) for part in parts]
        table = b"".join(struct.pack("<II", len(frame), len(part)) for frame, part in zip(frames, parts))
        table += struct.pack("<IBI", len(frames), 0, 0x8F92EAB1)
        return b"".join(frames) + struct.pack("<II", 0x184D2A5E, len(table)) + table

    def removed(self, *paths):
        """The leaves of some articles, as a statement lists them."""
        numbers = [self.order.index(path) for path in paths]
        return [f"{number} {self.leaves[number][1]} {self.leaves[number][2]}" for number in numbers]

    def without(self, *paths, removed=None, **change):
        """The replacement that is left without some articles."""
        lines = "".join(f"{line}\n" for line in self.removed(*paths)).encode() if removed is None else removed
        left = {path: text for path, text in self.articles.items() if path not in paths}
        made = {"archive": self.archive, "signers": (ALICE,), "was": [(self, lines), *self.was]} | self.more
        return Bundle(left, **(made | {"replaces": [self.id]} | change))

    def form(self, level=-20):
        """Another form of the same bundle."""
        return Bundle(self.articles, self.archive, self.signers, self.was, level, **self.more)


def members(files, top="n/"):
    """Files as they lie in the tar."""
    made = [(reader.header((top + name).encode(), len(data)), data, bytes(-len(data) % 512)) for name, data in files]
    return b"".join(itertools.chain(*made))


def signature_files(manifest, signers):
    return sorted((f"manifest.toml.{key.minisig_name()}", key.minisig("manifest", manifest)) for key in signers)


def root_of(leaves):
    return reader.tree([hashlib.sha256(b"\0" + bytes.fromhex(a + b)).digest() for _, a, b in leaves]).hex()


# ---------------------------------------------------------------- archives


class Archive:
    """An archive in the making: leaves and files; who signs its checkpoint; whom its readers trust."""

    def __init__(self, *bundles):
        self.leaves, self.files, self.edits, self.log_keys, self.cosigned = [], {}, [], (LOG,), ()
        self.trust = {"keys": [ALICE.line], "log_keys": [LOG.vkey()], "at": NOW}
        self.size = self.root = self.origin = None
        self.vouched = []  # policies, as bytes
        for bundle in bundles:
            self.put(bundle)

    def put(self, bundle, signers=None, size=None, digest=None, there=True, **more):
        signed = lines_of(bundle.signers if signers is None else signers, "manifest", bundle.manifest, **more)
        if there:
            self.files[bundle.place] = bundle.file
        size = len(bundle.file) if size is None else size
        self.leaf(f"bundle\nsize {size}\nfile sha256:{digest or bundle.digest}\n{signed}\n".encode() + bundle.manifest)
        return self

    def leaf(self, text):
        self.leaves.append(b"vellum-leaf/1 " + (text.encode() if isinstance(text, str) else text))
        return self

    def sign(self, bundle, *keys, **more):
        return self.leaf(f"signature\nbundle {bundle.id}\n" + lines_of(keys, "manifest", bundle.manifest, **more))

    def policy(self, version, text, signers=(ALICE,), beside=(), there=True):
        if there:
            self.files[f"trust/{version}.toml"] = text
        for key in beside:
            self.files[f"trust/{version}.toml.{key.minisig_name()}"] = key.minisig("policy", text)
        return self.leaf(f"policy\nversion {version}\nfile sha256:{sha256(text)}\n" + lines_of(signers, "policy", text))

    def document(self, name, data, signers=(ALICE,), there=True):
        if there:
            self.files[name] = data if there is True else there
        return self.leaf(f"document\nname {name}\nfile sha256:{sha256(data)}\n" + lines_of(signers, "document", data))

    def statement(self, text, signers=(ALICE,), there=True):
        text = text.encode()
        if there:
            self.files[f"withdrawn/{sha256(text)}.toml"] = text
        return self.leaf(f"withdraw\nstatement sha256:{sha256(text)}\n" + lines_of(signers, "withdraw", text))

    def withdraw(self, old, *paths, signers=(ALICE,)):
        """What an honest archive does: the rest, the statement; the old file goes. Returns rest and statement."""
        new = old.without(*paths) if len(paths) < len(old.articles) else None
        if new:
            self.put(new)
        text = statement([old.removed(*paths)], [(old, new)], len(self.leaves))
        self.statement(text, signers)
        self.files.pop(old.place, None)
        return new, sha256(text.encode())

    def root_at(self, size):
        hashes = [hashlib.sha256(b"\0" + leaf).digest() for leaf in self.leaves[:size]]
        return (reader.tree(hashes) if hashes else hashlib.sha256(b"").digest()).hex()

    def edit(self, place, change):
        """A change of a file when all is written; None removes it."""
        self.edits.append((place, change))
        return self

    def tiles(self):
        files, hashes, level = {}, [hashlib.sha256(b"\0" + leaf).digest() for leaf in self.leaves], 0
        for start in range(0, len(self.leaves), 256):
            part = self.leaves[start : start + 256]
            entries = b"".join(struct.pack(">H", len(leaf)) + leaf for leaf in part)
            files[archive_reader.tile_path("entries", start // 256, len(part))] = entries
        while hashes:
            for start in range(0, len(hashes), 256):
                part = hashes[start : start + 256]
                files[archive_reader.tile_path(level, start // 256, len(part))] = b"".join(part)
            full = range(0, len(hashes) - len(hashes) % 256, 256)
            hashes, level = [reader.tree(hashes[start : start + 256]) for start in full], level + 1
        return files

    def checkpoint(self):
        size = len(self.leaves) if self.size is None else self.size
        root = bytes.fromhex(self.root or self.root_at(len(self.leaves)))
        body = f"{self.origin or ORIGIN}\n{size}\n{b64(root)}\n"
        note = body + "\n"
        for key in self.log_keys:
            note += f"— {ORIGIN} {b64(key.note_id() + key.secret.sign(body.encode()))}\n"
        for key, at in self.cosigned:
            name, said = f"w.example/{key.name}", f"cosignature/v1\ntime {at}\n{body}"
            note += f"— {name} {b64(key.note_id(name, 4) + struct.pack('>Q', at) + key.secret.sign(said.encode()))}\n"
        return note.encode()

    def write(self, folder):
        label = f'format = "vellum-archive/1"\norigin = "{ORIGIN}"\nlog = "{LOG.vkey()}"\n'
        files = {"README.txt": b"x\n", "archive.toml": label.encode(), "checkpoint": self.checkpoint()}
        files |= self.tiles() | self.files
        for place, change in self.edits:
            files[place] = change(files[place])
        name = os.path.basename(folder)
        policies = [f"{name}.{number}.toml" for number in range(len(self.vouched))]
        trust = json.dumps(self.trust | {"policies": policies}).encode()
        beside = {f"../{name}.trust.json": trust} | {f"../{file}": text for file, text in zip(policies, self.vouched)}
        for place, data in (files | beside).items():
            path = os.path.normpath(os.path.join(folder, place))
            if data is not None:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "wb") as file:
                    file.write(data)


def statement(removed, pairs, size, ids=None, clear="", reason="", origin=ORIGIN):
    """A statement's text; removed: a list of lines for each pair of an old and a new bundle."""
    every = sorted({line.split()[1] for lines in removed for line in lines}) if ids is None else ids
    text = f'format = "vellum-withdrawal/1"\narchive = "{origin}"\nsize = {size}\n'
    text += "ids = [" + ", ".join(f'"sha256:{each}"' for each in every) + f"]\n{clear}{reason}"
    for (old, new), lines in sorted(zip(pairs, removed), key=lambda pair: pair[0][0].id):
        text += f'\n[[bundle]]\nold = "{old.id}"\n' + (f'new = "{new.id}"\n' if new else "")
        text += "removed = [" + ", ".join(f'"{line}"' for line in lines) + "]\n"
    return text


def key(who, roles=ALL, **more):
    return {"name": who.name, "public": who.line, "roles": list(roles)} | more


def policy(
    archive, version=1, previous=None, keys=(ALICE, BOB), logs=(LOG,), witnesses=(), size=None, log_root=None, **more
):
    """A policy's text. more: thresholds by their names, `head`, `tail`, `freshness`."""
    size = len(archive.leaves) if size is None else size
    thresholds = {role: more.get(role, 1) for role in ("root", "publish", "withdraw")}
    thresholds |= {role: more[role] for role in ("document", "witness") if role in more}
    text = f'format = "vellum-trust/1"\narchive = "{ORIGIN}"\nversion = {version}\n'
    text += f'previous = "sha256:{sha256(previous)}"\n' if previous else ""
    text += f'log = {{ size = {size}, root = "sha256:{log_root or archive.root_at(size)}" }}\n' + more.get("head", "")
    text += "\n[threshold]\n" + "".join(f"{role} = {n}\n" for role, n in thresholds.items() if n is not None)
    if "freshness" in more:
        text += "\n[freshness]\n" + more["freshness"]
    for each in keys:
        values = key(each) if isinstance(each, Key) else each
        text += "\n[[key]]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())
    for each in logs:
        log, retired = each if isinstance(each, tuple) else (each, None)
        text += f'\n[[log_key]]\nvkey = "{log.vkey()}"\n' + (f"retired_at = {retired}\n" if retired is not None else "")
    for who, operator, holds in witnesses:
        vkey = who.vkey(f"w.example/{who.name}", 4)
        text += f'\n[[witness]]\nvkey = "{vkey}"\noperator = "{operator}"\nholds = {holds}\n'
    return (text + more.get("tail", "")).encode()


def ssh(who):
    return "ssh-ed25519 " + b64(struct.pack(">I", 11) + b"ssh-ed25519" + struct.pack(">I", 32) + who.public)
