"""Writes bundles and archives, honest and forged ones, from FORMAT.md alone and without the binary.

forged_archives.py says which. All keys come from names and all times are one time, so that every run
makes the same bytes.
"""

import base64
import hashlib
import json
import os
import struct
from collections import namedtuple

import reader
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ORIGIN = "forged.example/library"
TIME, NOW = "2026-11-25T08:00:00Z", 1_795_593_600
sha256 = hashlib.sha256


def hex_of(data):
    return sha256(data).hexdigest()


def b64(data):
    return base64.b64encode(data).decode()


# ---------------------------------------------------------------- keys and signatures


class Secret:
    def __init__(self, name):
        self.key = Ed25519PrivateKey.from_private_bytes(sha256(name.encode()).digest())
        self.public = self.key.public_key().public_bytes_raw()
        self.ident, self.sign = sha256(self.public).digest()[:8], self.key.sign
        self.line = b64(b"Ed" + self.ident + self.public)

    def vkey(self, name, kind=1):
        return f"{name}+{self.note_ident(name, kind).hex()}+{b64(bytes([kind]) + self.public)}"

    def note_ident(self, name, kind):
        return sha256(name.encode() + b"\n" + bytes([kind]) + self.public).digest()[:4]


S = {name: Secret(name) for name in ("alice", "bob", "carol", "dave", "eve", "log", "second log")}


def comment(kind, digest, archive=ORIGIN, time=TIME):
    return f"vellum/1\t{kind}\tarchive:{archive}\tsha256:{digest}\ttime:{time}".encode()


def line(name, kind, content, ident=None, signature=None, time=TIME, archive=ORIGIN):
    """A leaf's signature line, and the key, by which lines are sorted."""
    secret = S[name]
    first = signature or secret.sign(hashlib.blake2b(content).digest())
    last = secret.sign(first + comment(kind, hex_of(content), archive, time))
    key = b"Ed" + (ident or secret.ident) + secret.public
    return secret.public, f"signature {b64(key)} {b64(first)} {b64(last)} {time}\n".encode()


def lines(names, kind, content, **how):
    return b"".join(text for _, text in sorted(line(name, kind, content, **how) for name in names))


def minisigs(path, names, kind, content, archive=ORIGIN):
    """The .minisig files beside a file: [(path, bytes)…]."""
    files = []
    for secret in sorted((S[name] for name in names), key=lambda secret: secret.ident[::-1]):
        first, said = secret.sign(hashlib.blake2b(content).digest()), comment(kind, hex_of(content), archive)
        text = f"untrusted comment: forged\n{b64(b'ED' + secret.ident + first)}\ntrusted comment: {said.decode()}\n"
        name = f"{path}.{secret.ident[::-1].hex().upper()}.minisig"
        files.append((name, f"{text}{b64(secret.sign(first + said))}\n".encode()))
    return files


# ---------------------------------------------------------------- bundles

# was: [(id, [(name, bytes)…])…]; leaves: pairs of the digest of an id and the digest of the lines.
Bundle = namedtuple("Bundle", "ident manifest signatures data leaves texts fields was")
Seen = namedtuple("Seen", "at size")


def bundle(texts, signers=("alice",), was=(), level=3, **fields):
    """A bundle of {path: text} or {path: (id, text)}, each a title and one document."""
    fields = {"archive": ORIGIN} | fields
    contents, idents = {}, {}
    for path, text in texts.items():
        ident, text = text if isinstance(text, tuple) else (None, text)
        head = f"id = {json.dumps(ident)}\n" if ident else ""
        contents[f"{path}/article.toml".encode()] = f'{head}title = "On {path}"\n'.encode()
        contents[f"{path}/text.md".encode()] = text.encode()
        idents[path.encode()] = (ident or path).encode()
    articles, _ = reader.group({path: hex_of(content) for path, content in contents.items()})
    leaves = [(hex_of(idents[a.path]), hex_of(a.lines)) for a in articles]
    checksums = b"".join(a.lines for a in articles)
    manifest = {"format": "vellum-manifest/1", "archive": None, "name": "forged", "title": "Forged"}
    manifest |= {"articles": len(articles), "files": len(contents), "bytes": sum(map(len, contents.values()))}
    manifest |= {"checksums": f"sha256:{hex_of(checksums)}", "root": f"sha256:{root_of(leaves).hex()}"}
    manifest |= dict.fromkeys(("base", "replaces", "reinstates")) | fields
    signed = "".join(f"{key} = {json.dumps(value)}\n" for key, value in manifest.items() if value is not None).encode()
    oxum = f"Payload-Oxum: {manifest['bytes']}.{len(contents)}\n".encode()
    tags = {"bag-info.txt": oxum, "bagit.txt": b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"}
    tags |= {"manifest-sha256.txt": checksums, "manifest.toml": signed}
    sums = "".join(f"{hex_of(content)}  {name}\n" for name, content in tags.items()).encode()
    order = [path for a in articles for path in a.content()] + [a.metadata for a in articles]
    members = [(b"data/" + path, contents[path]) for path in order] + [(b"manifest-sha256.txt", checksums)]
    seen = {path: Seen(at, size) for path, at, size in tar(members + [(b"index/0", b"")])[1]}
    head, (piece,) = reader.make_index([(idents[a.path], a) for a in articles], seen)
    signatures = minisigs("manifest.toml", signers, "manifest", signed, fields["archive"] or "-")
    last = [("bagit.txt", tags["bagit.txt"]), ("bag-info.txt", oxum), ("manifest.toml", signed)]
    last += [("tagmanifest-sha256.txt", sums), *signatures]
    last += [(f"was/{ident}/{name}", content) for ident, files in was for name, content in files]
    frames = [tar(members + [(b"index/0", piece)])[0]]
    frames += [tar([(name.encode(), content) for name, content in [*last, ("index/head", head)]])[0] + bytes(1024)]
    packer = zstandard.ZstdCompressor(level=level, write_checksum=True, write_content_size=True)
    packed = [packer.compress(frame) for frame in frames]
    table = b"".join(struct.pack("<II", len(short), len(long)) for short, long in zip(packed, frames))
    table += struct.pack("<IBI", len(frames), 0, 0x8F92EAB1)
    data = b"".join(packed) + struct.pack("<II", 0x184D2A5E, len(table)) + table
    return Bundle(hex_of(signed), signed, signatures, data, leaves, texts, fields, tuple(was))


def tar(members):
    """The members as a tar, and [(path, place, size)…]."""
    out, places = b"", []
    for path, content in members:
        places.append((path, len(out), len(content)))
        out += reader.header(b"forged/" + path, len(content)) + content + bytes(reader.padding(len(content)))
    return out, places


def root_of(leaves):
    return reader.tree([sha256(b"\0" + bytes.fromhex(a + b)).digest() for a, b in leaves])


def gone_of(old, paths):
    """The leaves that go with these articles: (number, digest of the id, digest of the lines)."""
    ids = {hex_of(path.encode()) for path in paths}
    return [(number, *leaf) for number, leaf in enumerate(old.leaves) if leaf[0] in ids]


def rest_of(old, paths, signers=("alice",), **fields):
    """The replacement of a bundle that lacks some articles."""
    removed = "".join("%d %s %s\n" % each for each in gone_of(old, paths)).encode()
    was = [(old.ident, [("manifest.toml", old.manifest), *old.signatures, ("removed", removed)]), *old.was]
    texts = {path: text for path, text in old.texts.items() if path not in paths}
    return bundle(texts, signers, was, **old.fields | {"replaces": [old.ident]} | fields)


# ---------------------------------------------------------------- archives


class Archive:
    """An archive in the making: leaves and files; `close` makes the tiles and the checkpoint."""

    def __init__(self):
        self.leaves, self.keys, self.policies, self.open = [], ["alice"], [], None
        vkey = S["log"].vkey(ORIGIN)
        self.files = {"archive.toml": f'format = "vellum-archive/1"\norigin = "{ORIGIN}"\nlog = "{vkey}"\n'.encode()}

    def root(self, size=None):
        hashes = [sha256(b"\0" + leaf).digest() for leaf in self.leaves[:size]]
        return reader.tree(hashes) if hashes else sha256(b"").digest()

    def leaf(self, kind, signatures=b"", rest=b"", **fields):
        text = "".join(f"{name} {value}\n" for name, value in fields.items())
        self.leaves.append(f"vellum-leaf/1 {kind}\n{text}".encode() + signatures + rest)

    def bundle(self, b, signers=("alice",), place=True, change=None, **how):
        """Logs a bundle's file, and puts it there."""
        signatures = lines(signers, "manifest", b.manifest, **how)
        self.leaf("bundle", signatures, b"\n" + b.manifest, size=len(b.data), file=f"sha256:{hex_of(b.data)}")
        if place:
            self.files[place_of(b)] = b.data
        if change:
            self.leaves[-1] = change(self.leaves[-1])

    def signature(self, b, signers):
        self.leaf("signature", lines(signers, "manifest", b.manifest), bundle=b.ident)

    def withdraw(self, text, signers=("alice",)):
        digest = hex_of(text)
        self.files[f"withdrawn/{digest}.toml"] = text
        self.files |= minisigs(f"withdrawn/{digest}.toml", signers, "withdraw", text)
        self.leaf("withdraw", lines(signers, "withdraw", text), statement=f"sha256:{digest}")

    def policy(self, version, text, signers=("alice",), beside=()):
        self.files[f"trust/{version}.toml"] = text
        self.files |= minisigs(f"trust/{version}.toml", beside, "policy", text)
        self.leaf("policy", lines(signers, "policy", text), version=version, file=f"sha256:{hex_of(text)}")
        return text

    def document(self, name, signers=("alice",), data=b"hello\n"):
        self.leaf("document", lines(signers, "document", data), name=name, file=f"sha256:{hex_of(data)}")
        self.files[name] = data

    def close(self, keys=("log",), size=None, root=None, origin=ORIGIN, cosigned=()):
        for start in range(0, len(self.leaves), 256):
            part = self.leaves[start : start + 256]
            self.tile("entries", start, len(part), b"".join(struct.pack(">H", len(leaf)) + leaf for leaf in part))
        hashes, level = [sha256(b"\0" + leaf).digest() for leaf in self.leaves], 0
        while hashes:
            parts = [hashes[start : start + 256] for start in range(0, len(hashes), 256)]
            for number, part in enumerate(parts):
                self.tile(level, number * 256, len(part), b"".join(part))
            hashes, level = [reader.tree(part) for part in parts if len(part) == 256], level + 1
        size = len(self.leaves) if size is None else size
        body = f"{origin}\n{size}\n{b64(root or self.root())}\n".encode()
        note = body.decode() + "\n"
        for key in keys:
            note += f"— {origin} {b64(S[key].note_ident(origin, 1) + S[key].sign(body))}\n"
        for name, key, at in cosigned:
            signature = S[key].sign(b"cosignature/v1\ntime %d\n" % at + body)
            note += f"— {name} {b64(S[key].note_ident(name, 4) + struct.pack('>Q', at) + signature)}\n"
        self.files["checkpoint"] = note.encode()

    def tile(self, level, start, width, data):
        self.files[f"tile/{level}/{start // 256:03}" + (f".p/{width}" if width < 256 else "")] = data

    def store(self, folder, name):
        if "checkpoint" not in self.files:
            self.close()
        for path, data in self.files.items():
            path = os.path.join(folder, name, path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(data)
        policies = [f"{name}.policy{number}" for number in range(len(self.policies))]
        for path, text in zip(policies, self.policies):
            with open(os.path.join(folder, path), "wb") as file:
                file.write(text)
        trust = {"keys": [S[key].line for key in self.keys], "log_keys": [S["log"].vkey(ORIGIN)]}
        trust |= {"policies": policies, "at": NOW} | ({"open": self.open} if self.open else {})
        with open(os.path.join(folder, f"{name}.trust.json"), "w", encoding="utf-8") as file:
            json.dump(trust, file)


def place_of(b):
    return f"bundles/{b.ident[:2]}/{b.ident}/{hex_of(b.data)[:16]}.tar.zst"
