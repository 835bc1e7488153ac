#!/usr/bin/env python3
"""An independent reader of vellum's bundles, written from FORMAT.md alone.

    reader.py verify [--key LINE]... [--unsigned] FILE...        a verdict on each whole bundle
    reader.py corpus [--key LINE]... [--unsigned] DIR            the same for every file below DIR
    reader.py cat [--key LINE]... [--unsigned] FILE ID-OR-PATH   one article's file, to stdout
    reader.py prove-check [--key LINE]... PROOF DOCUMENT         a vellum-proof/1 for one document

A verdict is one line of JSON: the file, whether it is right, and the findings, each a code of
FORMAT.md and a place. A key is the second line of a minisign public key, or an `ssh-ed25519` line.

Needs Python 3.11 and three packages: zstandard, cryptography, and tomli 2.4 or later, for TOML 1.1.
Paths are bytes throughout. Offsets are places in the unpacked tar.
"""

import argparse
import base64
import datetime
import hashlib
import itertools
import json
import os
import re
import shutil
import struct
import sys
import tempfile
from array import array
from bisect import bisect_right
from collections import namedtuple

import tomli
import zstandard
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ARTICLES, FILES, BLOCK, SIGNATURES = 16_384, 65_536, 256, 32
FRAMES, FRAME = 1_048_576, 8_388_608
MANIFEST, METADATA, DEPTH, MINISIG, LINES = 4_096, 262_144, 64, 9_404, 16 * 1024 * 1024
LIST = FILES * (64 + 2 + 5 + 1024 + 1)  # no checksum list, and no times.txt, is longer
PIECE = FILES * 20 + BLOCK * (1 + 512 + 1)  # no piece of the index is longer
LINE_OF_BUNDLES, WAS = 256, 4_194_304  # folders in was/, and their stretch of the tar
NUMBER = "(?:0|[1-9][0-9]{0,18})"
CONTROL = r"\0-\x1f\x7f-\x9f"
WHITE = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
HEX = "[0-9a-f]{64}"
sha256 = hashlib.sha256


class Damage(Exception):
    """A finding, as (code, place), after which a reader can not go on."""


class Findings(list):
    def add(self, code, place):
        if isinstance(place, bytes):
            place = place.decode("utf-8", "backslashreplace")
        if len(self) < 1000:  # the verdict is long since clear
            self.append([code, place])

    def ok(self):
        return all(code == "signature-untrusted" for code, _ in self)


# ---------------------------------------------------------------- keys and signatures

P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


def has_prime_order(key):
    """Whether 32 bytes are the canonical encoding of a point of order L: nothing else is a key."""
    y, sign = int.from_bytes(key, "little") % 2**255, key[31] >> 7
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or x * x % P != square or (x == 0 and sign) or (x, y) == (0, 1):
        return False
    x = P - x if x % 2 != sign else x

    def add(p, q):  # in extended coordinates (RFC 8032, 5.1.4)
        a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
        c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
        e, f, g, h = b - a, d - c, d + c, b + a
        return e * f % P, g * h % P, f * g % P, e * h % P

    total, point = (0, 1, 1, 0), (x, y, 1, x * y % P)
    for bit in range(L.bit_length()):
        total = add(total, point) if L >> bit & 1 else total
        point = add(point, point)
    return total[0] % P == 0 and (total[1] - total[2]) % P == 0


def unbase64(text):
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise ValueError("not canonical base64")
    return data


def parse_key(line):
    """The key id and the key in a line of a minisign or an ssh-ed25519 public key."""
    words = line.split()
    if words[:1] == ["ssh-ed25519"] and len(words) > 1:
        data = unbase64(words[1])
        start, key = b"\0\0\0\x0bssh-ed25519\0\0\0\x20", data[-32:]
        ident = sha256(key).digest()[:8]
    else:
        data = unbase64(line.strip())
        start, ident, key = b"Ed", data[2:10], data[10:]
        start += ident
    if data != start + key or len(key) != 32 or not has_prime_order(key):
        raise ValueError("not a key")
    return ident, key


def is_signed(key, signature, message):
    """Ed25519, cofactorless; the library compares R with its own encoding, so R is canonical."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return int.from_bytes(signature[32:], "little") < L


def is_time(text, digits=0):
    form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d" + (rf"\.\d{{{digits}}}" if digits else "") + "Z"
    try:
        return bool(re.fullmatch(form, text, re.ASCII) and datetime.datetime.fromisoformat(text[:19]))
    except ValueError:
        return False


LINE = rf"(?:\t|[^{CONTROL}])*"
MINISIG_FORM = re.compile(f"untrusted comment: {LINE}\n(.{{100}})\ntrusted comment: ({LINE})\n(.{{88}})\n")
COMMENT = re.compile("vellum/1\tmanifest\tarchive:([^\t]*)\tsha256:([0-9a-f]{64})\ttime:([^\t]*)")
VISIBLE = r"[!#-&(-*,-\[\]-~]"  # without + " ' and backslash
ORIGIN = rf"(?!-(?!{VISIBLE})){VISIBLE}{{1,255}}"
ANY = "*"  # in a proof a signature has no name


def parse_minisig(data, name):
    """Key id, signature, trusted comment and global signature; a ValueError if its form is wrong."""
    match = MINISIG_FORM.fullmatch(data.decode())
    if not match or any(len(line) > most for line, most in zip(data.split(b"\n"), (1022, 100, 8190, 88))):
        raise ValueError("not a minisign signature")
    first, last = unbase64(match[1]), unbase64(match[3])
    ident, signature = first[2:10], first[10:]
    if first[:2] != b"ED" or len(signature) != 64 or len(last) != 64:
        raise ValueError("not a prehashed signature")
    if name not in (ident[::-1].hex().upper(), ANY):
        raise ValueError("not named for its key")
    return ident, signature, match[2], last


def fits_archive(spoken, archive):
    """A signature speaks of the manifest's archive, or of any, or none, if the manifest names none."""
    return spoken == archive if archive else spoken == "-" or bool(re.fullmatch(ORIGIN, spoken))


def check_signatures(found, manifest, signatures, keys, unsigned):
    """Checks the .minisig files of the manifest's bytes: [(key id as the file's name has it, bytes)…]."""
    if not signatures and not unsigned:
        found.add("unsigned", "no signature")
    good = judge_signatures(found, manifest, signatures, keys)
    if signatures and not good and not unsigned:
        found.add("untrusted", "no good signature by a trusted key")


def judge_signatures(found, manifest, signatures, keys, folder=""):
    """How many of them are good and by a trusted key; notes those that are wrong, or by another key."""
    archive, good = parse_manifest(manifest)["archive"], 0
    digest, hashed = sha256(manifest).hexdigest(), hashlib.blake2b(manifest).digest()
    if len(signatures) > SIGNATURES:
        found.add("over-limit", f"{folder}{len(signatures)} signatures")
    for name, data in signatures[:SIGNATURES]:
        place = f"{folder}manifest.toml.{name}.minisig"
        if len(data) > MINISIG:
            found.add("over-limit", place)
            continue
        try:
            ident, signature, comment, last = parse_minisig(data, name)
        except ValueError:
            found.add("signature-form", place)
            continue
        candidates = [key for key_id, key in keys if key_id == ident]
        fits = any(
            is_signed(key, signature, hashed) and is_signed(key, last, signature + comment.encode())
            for key in candidates
        )
        said = COMMENT.fullmatch(comment)
        if not candidates:
            found.add("signature-untrusted", place)
        elif not fits:
            found.add("signature-bad", place)
        elif said and fits_archive(said[1], archive) and said[2] == digest and is_time(said[3]) and said[3] < "9999":
            good += 1
        else:
            found.add("signature-comment", place)
    return good


# ---------------------------------------------------------------- manifest, lists, metadata

MANIFEST_KEYS = [  # key, whether it must be there, the form of its value
    ("format", True, '"vellum-manifest/1"'),
    ("archive", False, f'"{ORIGIN}"'),
    ("name", True, '"[a-z0-9][a-z0-9._-]{0,63}"'),
    ("title", True, rf'"(?:[^"\\{CONTROL}\u2028\u2029]|\\["\\])+"'),
    ("articles", True, NUMBER),
    ("files", True, NUMBER),
    ("bytes", True, NUMBER),
    ("checksums", True, f'"sha256:{HEX}"'),
    ("root", True, f'"sha256:{HEX}"'),
    ("times", False, f'"sha256:{HEX}"'),
    ("part", False, NUMBER),
    ("after", False, f'"{HEX}"'),
    ("last", False, "true"),
    ("base", False, NUMBER),
    ("replaces", False, rf'\["{HEX}"(?:, "{HEX}"){{0,31}}\]'),
    ("reinstates", False, rf'\["{HEX}"(?:, "{HEX}"){{0,31}}\]'),
]
MANIFEST_FORM = re.compile(
    "".join(f"(?:{key} = (?P<{key}>{form})\n)" + ("" if must else "?") for key, must, form in MANIFEST_KEYS)
)


def parse_manifest(data):
    """The manifest as a dict. Its one form is a regular expression, so nothing else passes."""
    if len(data) > MANIFEST:
        raise Damage("over-limit", "manifest.toml")
    try:
        match = MANIFEST_FORM.fullmatch(data.decode())
    except UnicodeDecodeError:
        match = None
    if not match:
        raise Damage("manifest", "manifest.toml")
    manifest = {key: value and json.loads(value) for key, value in match.groupdict().items()}
    for key in ("articles", "files", "bytes", "part", "base"):
        if (manifest[key] or 0) >= 2**63:
            raise Damage("manifest", f"manifest.toml: {key}")
    for key in ("replaces", "reinstates"):
        entries = manifest[key] or []
        if entries != sorted(set(entries)):
            raise Damage("manifest", f"manifest.toml: {key}")
    part, after = manifest["part"], manifest["after"]
    if part == 0 or bool(after) != ((part or 1) > 1) or (manifest["last"] and not part):
        raise Damage("manifest", "manifest.toml: part, after, last")
    if len(manifest["title"].encode()) > 1024:
        raise Damage("manifest", "manifest.toml: title")
    if manifest["articles"] > ARTICLES or manifest["files"] > FILES:
        raise Damage("over-limit", "manifest.toml: articles, files")
    return manifest


NOT_IN_PATHS = re.compile(
    rf"\A[A-Za-z]:|[{CONTROL}\u2028\u2029\\]"  # a drive; control characters, line ends, backslash
    rf"|(?:\A|/)(?:[/{WHITE}]|\.\.?(?:/|\Z)|\Z)|[{WHITE}](?:/|\Z)"  # parts: empty, dots, white ends
)


TEXT = re.compile(rf"(?s)(?=.*[^{WHITE}])(?:[\t\n]|[^{CONTROL}])+")  # not blank; two control characters


def is_path(raw, limit=1024):
    try:
        wrong = NOT_IN_PATHS.search(raw.decode())
    except UnicodeDecodeError:
        return False
    return not wrong and len(raw) <= limit and max(map(len, raw.split(b"/"))) <= 255


def parse_metadata(data):
    """The id in an article.toml, None if its path is its id; a ValueError if it breaks a rule."""
    table = tomli.loads(data.decode().removeprefix("\ufeff"))
    title, ident = table.get("title"), table.get("id", "x")
    if not isinstance(title, str) or not TEXT.fullmatch(title.replace("\r\n", "\n")):
        raise ValueError("title")
    if not isinstance(ident, str) or not is_path(ident.encode(), 512):
        raise ValueError("id")
    values = [(table, 0)]
    while values:
        value, depth = values.pop()
        if isinstance(value, dict | list):
            inner = value.values() if isinstance(value, dict) else value
            values += [(each, depth + 1) for each in inner]
            if depth > DEPTH:
                raise ValueError(f"nested more than {DEPTH} deep")
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ValueError("an integer of more than 64 bits")
    return ident.encode() if "id" in table else None


LIST_LINE = re.compile(rb"([0-9a-f]{64})  data/([^\n]+)")


def parse_list(data, place):
    """The digest of each path of a checksum list, or of some lines of it."""
    if data.count(b"\n") > FILES:
        raise Damage("over-limit", place)
    *lines, rest = data.split(b"\n")
    digests = {}
    for number, line in enumerate(lines, 1):
        match = LIST_LINE.fullmatch(line)
        if not match or match[2] in digests:
            raise Damage("checksums", f"{place}: line {number}")
        digests[match[2]] = match[1].decode()
    if rest or not digests:
        raise Damage("checksums", f"{place}: its end")
    return digests


class Article:
    def __init__(self, path):
        self.path, self.metadata = path, path + b"/article.toml"
        self.files = {}  # path: digest
        self.lines = b""

    def content(self):
        return [path for path in self.files if path != self.metadata]

    def leaf(self, ident):
        return sha256(b"\0" + sha256(ident).digest() + sha256(self.lines).digest()).digest()


def group(digests):
    """The articles of a checksum list in the one order, and the paths that belong to none."""
    folders = [path[:-12] for path in digests if path.endswith(b"/article.toml")]
    articles, homeless, inside = {folder: Article(folder[:-1]) for folder in folders}, [], []
    for path in sorted([*digests, *folders]):  # a folder, with its "/", stands before what it holds
        while inside and not path.startswith(inside[-1]):
            inside.pop()
        if path in articles:
            inside.append(path)
        elif inside:
            articles[inside[-1]].files[path] = digests[path]
        else:
            homeless.append(path)
    ordered = [articles[folder] for folder in sorted(articles)]
    for article in ordered:
        lines = [b"%s  data/%s\n" % (digest.encode(), path) for path, digest in article.files.items()]
        article.lines = b"".join(lines)
    return ordered, homeless


def tree(hashes):
    """The root of RFC 6962's tree: pairs, level by level, are its split at powers of two."""
    while len(hashes) > 1:
        pairs = itertools.zip_longest(hashes[::2], hashes[1::2])
        hashes = [sha256(b"\1" + a + b).digest() if b else a for a, b in pairs]
    return hashes[0]


# ---------------------------------------------------------------- frames and tar

# The header of a member begins at `at`, its content at `body`, the next member at `next`.
Member = namedtuple("Member", "path size at body next")
DECODER = zstandard.ZstdDecompressor()


def unpack(frame, size, place):
    """The content of one frame, which the table says is `size` long."""
    if size > FRAME or len(frame) > size + size // 128 + 1024:
        raise Damage("over-limit", place)
    try:
        if frame[:4] != b"\x28\xb5\x2f\xfd" or frame[4] & 0b11111 != 0b00100:
            raise Damage("frame", place)  # unused, reserved, checksum, dictionary: the checksum alone
        form = zstandard.get_frame_parameters(frame)
        if form.window_size > FRAME or form.content_size == zstandard.CONTENTSIZE_UNKNOWN:
            raise Damage("frame", place)
        if form.content_size != size:
            raise Damage("table", place)
        content = DECODER.decompress(frame, allow_extra_data=False)
    except (zstandard.ZstdError, IndexError):
        raise Damage("frame", place) from None
    if len(content) != size:
        raise Damage("frame", place)
    return content


def padding(size):
    return -size % 512


def ustar(name, size, kind=b"0", prefix=b""):
    head = struct.pack(
        "100s 8s 8s 8s 12s 12s 8s 1s 100s 8s 64s 8s 8s 155s 12x",
        *(name, b"0000644", b"0000000", b"0000000", b"%011o" % size, b"00000000000", b" " * 8, kind),
        *(b"", b"ustar\x0000", b"", b"0000000", b"0000000", prefix),
    )
    return head[:148] + b"%06o\0 " % sum(head) + head[156:]


def header(path, size):
    """The only header that a member of this path and size may have."""
    records, prefix, name = b"", b"", path
    slash = path.find(b"/", max(0, len(path) - 101))
    if path.isascii() and len(path) > 100 and 1 <= slash <= 155 and slash + 1 < len(path):
        prefix, name = path[:slash], path[slash + 1 :]
    elif not path.isascii() or len(path) > 100:
        name = re.sub(rb"[\x80-\xff]", b"_", path[:100])
        records += record(b"path", path)
    if size > 0o77777777777:
        records += record(b"size", b"%d" % size)
        size = 0
    last = ustar(name, size, prefix=prefix)
    if not records:
        return last
    return ustar(b"pax_header", len(records), b"x") + records + bytes(padding(len(records))) + last


def record(key, value):
    length = len(key) + len(value) + 3
    while len(b"%d" % length) + len(key) + len(value) + 3 != length:
        length += 1
    return b"%d %s=%s\n" % (length, key, value)


PAX = re.compile(rb"(?:\d+ path=([^\n]*)\n)?(?:\d+ size=(\d{1,19})\n)?")
TAGS = ["bagit.txt", "bag-info.txt", "manifest.toml", "tagmanifest-sha256.txt"]


class Bundle:
    """The table, the tar that it leads through, and the tag files of the last frame (steps 1, 2)."""

    def __init__(self, file, found):
        self.file, self.cached, self.found = file, None, found
        self.read_table()
        self.last, self.end = self.content[-2], self.content[-1]
        self.read_tags()

    def raw(self, at, length):
        self.file.seek(at)
        return self.file.read(length)

    def read_table(self):
        size = self.file.seek(0, os.SEEK_END)
        count, descriptor, magic = struct.unpack("<IBI", self.raw(max(0, size - 9), 9).rjust(9, b"\0"))
        length = 8 * count + 9
        if magic != 0x8F92EAB1:
            raise Damage("truncated", "no seek table")
        if count > FRAMES:
            raise Damage("over-limit", f"{count} frames")
        if count == 0 or descriptor or length + 8 > size:
            raise Damage("table", "seek table")
        entries = array("I", self.raw(size - length, length - 9))
        if sys.byteorder == "big":
            entries.byteswap()
        self.packed = array("Q", itertools.accumulate(entries[0::2], initial=0))
        self.content = array("Q", itertools.accumulate(entries[1::2], initial=0))
        start = self.raw(size - length - 8, 8)
        if start != struct.pack("<II", 0x184D2A5E, length) or self.packed[-1] + 8 + length != size:
            raise Damage("table", "seek table")
        if 0 in entries[1::2]:
            raise Damage("frame", "a frame without content")

    def frame(self, number):
        if self.cached != number:
            start, end = self.packed[number : number + 2]
            size = self.content[number + 1] - self.content[number]
            packed = self.raw(start, min(end - start, 2 * FRAME))
            self.text, self.cached = unpack(packed, size, f"frame {number}"), number
        return self.text

    def read(self, at, length):
        """Bytes of the tar, in parts of at most a frame."""
        while length:
            if at >= self.end:
                raise Damage("tar", "the tar ends too early")
            number = bisect_right(self.content, at) - 1
            start = at - self.content[number]
            part = self.frame(number)[start : start + length]
            yield part
            at, length = at + len(part), length - len(part)

    def take(self, at, length):
        return b"".join(self.read(at, length))

    def member(self, at, end):
        """The member whose header begins here: parsed, then compared with the one form it has."""
        try:
            block, records, front = self.take(at, 512), b"", 0
            if block[156:157] == b"x":
                length = int(block[124:135], 8)
                front = 512 + min(length, 4096) + padding(length)
                records, block = self.take(at + 512, min(length, 4096)), self.take(at + front, 512)
            path, size = PAX.fullmatch(records).groups()
            prefix, name = block[345:500].split(b"\0")[0], block[:100].split(b"\0")[0]
            path = path or (prefix + b"/" + name if prefix else name)
            size = int(size or 0) or int(block[124:135], 8)
            expected = header(path, size)
        except (ValueError, AttributeError, struct.error):
            raise Damage("tar", f"header at {at}") from None
        body = at + len(expected)
        if size < 0 or self.take(at, len(expected)) != expected or body + size + padding(size) > end:
            raise Damage("tar", f"header at {at}")
        return Member(path, size, at, body, body + size + padding(size))

    def members(self, at, end):
        while at < end:
            member = self.member(at, end)
            yield member
            at = member.next

    def digest(self, member, limit=0):
        """The SHA-256 of a member's content, and the content unless it is longer than the limit."""
        total, parts = sha256(), []
        for part in self.read(member.body, member.size):
            total.update(part)
            if member.size <= limit:
                parts.append(part)
        if any(self.take(member.body + member.size, padding(member.size))):
            self.found.add("tar", member.path + b": padding")
        return total.hexdigest(), b"".join(parts) if member.size <= limit else None

    def inner(self, member):
        """A member's path within the top folder."""
        top, _, inner = member.path.partition(b"/")
        if top != self.manifest["name"].encode() or not inner:
            self.found.add("top-folder", member.path)
        return inner

    def read_tags(self):
        found, end, tags = self.found, self.end - 1024, {}
        if end <= self.last or any(self.take(end, 1024)):
            raise Damage("tar", "end of the tar")
        members = list(self.members(self.last, end))
        contents = [self.digest(member, FRAME)[1] for member in members]
        manifests = [c for m, c in zip(members, contents) if m.path.endswith(b"/manifest.toml")]
        if not manifests:
            raise Damage("manifest", "no manifest.toml in the last frame")
        self.signed = manifests[0]
        self.manifest = manifest = parse_manifest(self.signed)
        signatures = []
        for member, content in zip(members, contents):
            name = self.inner(member).decode("utf-8", "backslashreplace")
            if name.startswith("was/"):
                tags.setdefault("was", []).append((name[4:], content, member))
                continue
            if re.fullmatch(r"manifest\.toml\..*\.minisig", name) and name not in tags:
                signatures.append(name)
            elif name in tags or name not in (*TAGS, "index/head"):
                found.add("extra", member.path)
                continue
            tags[name] = content
        was = tags.get("was", [])
        if list(tags) != [name for name in (*TAGS, *sorted(signatures), "was", "index/head") if name in tags]:
            found.add("tar", "the order of the last frame")
        if was and was[-1][2].next != was[0][2].at + sum(m.next - m.at for *_, m in was):
            found.add("was", "not one stretch")
        self.signatures = [(name[14:-8], tags[name]) for name in signatures]
        self.line = read_line(manifest, was, found)
        self.head = tags.get("index/head")
        if self.head is None:
            found.add("index", "index/head")

        expected = {
            "bagit.txt": "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n",
            "bag-info.txt": f"Payload-Oxum: {manifest['bytes']}.{manifest['files']}\n",
        }
        sums = {name: sha256(text.encode()).hexdigest() for name, text in expected.items()}
        sums["manifest.toml"] = sha256(self.signed).hexdigest()
        sums["manifest-sha256.txt"] = manifest["checksums"][7:]
        if manifest["times"]:
            sums["times.txt"] = manifest["times"][7:]
        expected["tagmanifest-sha256.txt"] = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
        for name, text in expected.items():
            if tags.get(name) != text.encode():
                found.add("tag-file", name)


# ---------------------------------------------------------------- what a replacement was

# A bundle that a replacement descends from: its manifest as bytes and parsed, [(key id, bytes)…], and
# [(number, digest of the id, digest of the lines)…].
Was = namedtuple("Was", "signed manifest signatures removed")
REMOVED = re.compile(f"({NUMBER}) ({HEX}) ({HEX})\n".encode())
CHANGES = {"articles", "files", "bytes", "checksums", "root", "times", "replaces"}


def read_line(manifest, files, found):
    """The bundles of the line from the files below was/ [(name, content, member)…], the newest first."""
    line, folders = [], []
    for name, content, _ in files:
        folder, _, file = name.partition("/")
        if file == "manifest.toml":
            folders.append((folder, {}))
        if not folders or folders[-1][0] != folder or file in folders[-1][1]:
            found.add("was", name)
            return line
        folders[-1][1][file] = content
    if len(folders) > LINE_OF_BUNDLES or sum(m.next - m.at for *_, m in files) > WAS:
        found.add("over-limit", "was/")
        return line
    for folder, inner in folders:
        names = [re.fullmatch(r"manifest\.toml\.([0-9A-F]{16})\.minisig", name) for name in list(inner)[1:-1]]
        text = inner.get("removed", b"")
        entries = REMOVED.findall(text)
        removed = [(int(number), a.decode(), b.decode()) for number, a, b in entries]
        numbers = [number for number, _, _ in removed]
        if not all(names) or list(inner)[-1] != "removed" or list(inner)[1:-1] != sorted(list(inner)[1:-1]):
            found.add("was", folder)
        elif not removed or numbers != sorted(set(numbers)) or b"".join(b"%s %s %s\n" % e for e in entries) != text:
            found.add("was", f"{folder}/removed")
        elif sha256(inner["manifest.toml"]).hexdigest() != folder:
            found.add("was", f"{folder}/manifest.toml: its digest")
        else:
            signatures = [(name[1], inner[name[0]]) for name in names]
            try:
                old = parse_manifest(inner["manifest.toml"])
            except Damage:
                found.add("was", f"{folder}/manifest.toml")
                return line
            line.append(Was(inner["manifest.toml"], old, signatures, removed))
    newer = manifest
    for was in line:
        old = was.manifest
        if newer["replaces"] != [sha256(was.signed).hexdigest()]:
            found.add("was", "replaces: another bundle than the next of the line")
        if any(newer[key] != old[key] for key in old.keys() - CHANGES) or bool(newer["times"]) != bool(old["times"]):
            found.add("was", "a manifest that does not repeat the one before")
        if newer["articles"] + len(was.removed) != old["articles"]:
            found.add("was", "articles")
        newer = old
    if newer["replaces"]:
        found.add("was", "replaces: a bundle of which nothing is said")
    return line


def check_line(line, leaves, found):
    """Puts the removed leaves back and follows the roots to the first bundle of the line."""
    for was in line:
        left, leaves = iter(leaves), []
        for number, ident, lines in was.removed:
            leaves += itertools.islice(left, max(number - len(leaves), 0))
            leaves.append(sha256(b"\0" + bytes.fromhex(ident + lines)).digest())
            if len(leaves) != number + 1:
                found.add("was", f"removed: no place for number {number}")
                return
        leaves += left
        if tree(leaves).hex() != was.manifest["root"][7:]:
            found.add("was", "removed: does not lead to the root")
            return


# ---------------------------------------------------------------- verifying a whole bundle


def verify(file, keys, unsigned, found):
    bundle = Bundle(file, found)
    name = os.path.basename(file.name)
    if re.fullmatch(HEX + r"\.tar\.zst", name) and name[:64] != sha256(bundle.signed).hexdigest():
        found.add("file-name", name)
    check_signatures(found, bundle.signed, bundle.signatures, keys, unsigned)
    check_line_signatures(bundle.line, keys, found)
    walk = Walk(bundle, found)
    digests = check_list(walk, bundle.manifest, found)
    articles, homeless = group(digests)
    check_articles(digests, articles, homeless, bundle.manifest, found)
    check_members(walk, digests, articles, bundle.manifest, found)
    check_ids(walk, articles, bundle, found)


def check_line_signatures(line, keys, found):
    """The signatures of the bundles that a replacement descends from: wrong ones are damage, others nothing."""
    for was in line:
        wrong = Findings()
        judge_signatures(wrong, was.signed, was.signatures, keys, f"was/{sha256(was.signed).hexdigest()}/")
        for code, place in wrong:
            if code != "signature-untrusted":
                found.add(code, place)


class Walk:
    """All of the tar before its last frame: every frame, header, content and padding (step 5)."""

    def __init__(self, bundle, found):
        self.members = {}  # path in the top folder: member, in the order of the tar
        self.digests = {}  # path in the top folder: SHA-256 of the content
        self.lists = {}  # the checksum list and times.txt, None if they are too long
        self.ids = {}  # path of an article.toml that is right: the id in it or None
        for number, member in enumerate(bundle.members(0, bundle.last)):
            if number >= FILES + 2 + ARTICLES // BLOCK:
                raise Damage("over-limit", "members of the tar")
            path, limit = bundle.inner(member), 0
            if path in (b"manifest-sha256.txt", b"times.txt"):
                limit = LIST
            elif path.startswith(b"data/") and path.endswith(b"/article.toml"):
                limit = METADATA
            digest, content = bundle.digest(member, limit)
            if path in self.members:
                found.add("extra", path + b": a second time")
                continue
            self.members[path], self.digests[path] = member, digest
            if limit == LIST:
                self.lists[path] = content
            elif limit == METADATA:
                self.metadata(path[5:], content, found)

    def metadata(self, path, content, found):
        if content is None:
            found.add("over-limit", path)
            return
        try:
            self.ids[path] = parse_metadata(content)
        except (ValueError, RecursionError) as error:
            found.add("metadata", path + b": " + repr(error).encode())


def check_list(walk, manifest, found):
    """Step 4: the checksum list, and times.txt with it."""
    name = b"manifest-sha256.txt"
    if name not in walk.members:
        raise Damage("checksums", name)
    if walk.lists[name] is None:
        raise Damage("over-limit", name)
    if walk.digests[name] != manifest["checksums"][7:]:
        found.add("checksums", name + b": not the one that the manifest names")
    digests = parse_list(walk.lists[name], name)
    if manifest["times"]:
        named = walk.digests.get(b"times.txt") == manifest["times"][7:]
        if not named or not are_times(walk.lists[b"times.txt"], digests):
            found.add("tag-file", b"times.txt")
    return digests


def check_articles(digests, articles, homeless, manifest, found):
    """Step 4: every path, the one order, the articles and the counts."""
    for path in digests:
        if not is_path(path):
            found.add("path", path)
    for path in homeless:
        found.add("path", path + b": belongs to no article")
    folders = sorted(path + b"/" for path in digests)
    for folder, following in zip(folders, folders[1:]):
        if following.startswith(folder):
            found.add("path", folder + b": a file and a folder")
    for article in articles:
        if not article.content():
            found.add("metadata", article.path + b": no content")
    if not homeless and list(digests) != [path for article in articles for path in article.files]:
        found.add("checksums", "manifest-sha256.txt: not in the one order")
    for key, count, limit in ("articles", len(articles), ARTICLES), ("files", len(digests), FILES):
        if count != manifest[key]:
            found.add("manifest", f"manifest.toml: {key}")
        if count > limit:
            found.add("over-limit", f"{count} {key}")


def check_members(walk, digests, articles, manifest, found):
    """The tar holds what the list names and the manifest asks for, in the one order, nothing else."""
    size = 0
    for path, member in walk.members.items():
        size += member.size if path.startswith(b"data/") else 0
    if size != manifest["bytes"]:
        found.add("manifest", "manifest.toml: bytes")
    for path, digest in digests.items():
        if b"data/" + path not in walk.members:
            found.add("missing", path)
        elif walk.digests[b"data/" + path] != digest:
            found.add("content", path)
    expected = [b"data/" + path for article in articles for path in article.content()]
    expected += [b"data/" + article.metadata for article in articles]
    expected += [b"manifest-sha256.txt"] + [b"times.txt"] * bool(manifest["times"])
    expected += [b"index/%d" % number for number in range(-(-len(articles) // BLOCK))]
    known = set(expected)
    for path in walk.members:
        if path not in known and not (path.startswith(b"data/") and path[5:] in digests):
            found.add("extra", path)
    if [p for p in walk.members if p in known] != [p for p in expected if p in walk.members]:
        found.add("tar", "the order of the members")


def check_ids(walk, articles, bundle, found):
    """Steps 6 and 7: unique ids, the article tree, the index."""
    names, paths = {}, {path for article in articles for path in (article.path, *article.files)}
    for article in articles:
        if article.metadata not in walk.ids:
            continue  # it has no id
        ident = walk.ids[article.metadata] or article.path
        if len(ident) > 512:
            found.add("metadata", article.path + b": an id of more than 512 bytes")
        if names.setdefault(ident, article) is not article:
            found.add("metadata", article.path + b": an id of two articles")
        elif ident != article.path and ident in paths:
            found.add("metadata", article.path + b": an id that is another article's path, or a file's")
    if not articles or len(names) < len(articles):
        return  # not every article has an id
    leaves = [article.leaf(ident) for ident, article in names.items()]
    if tree(leaves).hex() != bundle.manifest["root"][7:]:
        found.add("tree", "manifest.toml: root")
    check_line(bundle.line, leaves, found)
    pieces = [b"index/%d" % number for number in range(-(-len(articles) // BLOCK))]
    for piece in pieces:
        if piece not in walk.members:
            found.add("index", piece)
    files = [b"data/" + path for article in articles for path in article.files]
    if not walk.members.keys() >= {*files, *pieces} or not all(article.content() for article in articles):
        return  # not every file has a place
    head, contents = make_index(list(names.items()), walk.members)
    for piece, content in zip(pieces, contents):
        if walk.digests[piece] != sha256(content).hexdigest():
            found.add("index", piece)
    if bundle.head not in (head, None):
        found.add("index", "index/head")


def are_times(data, paths):
    """Whether times.txt has lines in the order of the list, at most one a file."""
    following = iter(paths)
    *lines, rest = data.split(b"\n") if data is not None else [b"too long"]
    for line in lines:
        time, _, path = line.partition(b"  data/")
        if not is_time(time.decode("latin-1"), 9) or path not in following:
            return False  # `in` goes on with the iterator, so an earlier path is not found
    return rest == b""


def make_index(articles, seen):
    """The head and the pieces of the index, from [(id, article)…] and the members."""
    lists = seen[b"manifest-sha256.txt"]
    head, pieces, begin = [b"vellum-index/1", b"list %d %d" % (lists.at, lists.size)], [], 0
    for start in range(0, len(articles), BLOCK):
        block = articles[start : start + BLOCK]
        piece = b""
        for ident, article in block:
            sizes = b" ".join(b"%d" % seen[b"data/" + path].size for path in article.files)
            piece += sizes + (b"\t" + ident if ident != article.path else b"") + b"\n"
        first = block[0][1]
        firsts = b"data/" + first.content()[0], b"data/" + first.metadata, b"index/%d" % len(pieces)
        places = [seen[path].at for path in firsts]
        root = tree([article.leaf(ident) for ident, article in block]).hex().encode()
        head.append(b"block %d %d %d %d %s %s" % (begin, *places, root, first.path))
        other = [sha256(ident).hexdigest()[:4] for ident, article in block if ident != article.path]
        head += [b"ids " + "".join(other).encode()] if other else []
        pieces.append(piece)
        begin += sum(len(article.lines) for _, article in block)
    return b"\n".join(head) + b"\n", pieces


# ---------------------------------------------------------------- reading one article

Block = namedtuple("Block", "list content metadata piece hash path ids")
LIST_OF_HEAD = re.compile(f"vellum-index/1\nlist ({NUMBER}) ({NUMBER})\n".encode())
BLOCK_OF_HEAD = re.compile(
    f"block ({NUMBER}) ({NUMBER}) ({NUMBER}) ({NUMBER}) ({HEX}) ([^\n]+)\n".encode()
    + rb"(?:ids ((?:[0-9a-f]{4})+)\n)?"
)
PIECE_LINE = re.compile(f"({NUMBER}(?: {NUMBER})*)(?:\t([^\t\n]+))?".encode())


class Index:
    """Finds articles through the index, and believes it only as far as the root of the tree goes."""

    def __init__(self, bundle):
        self.bundle, self.known, self.blocks = bundle, {}, []
        self.top = bundle.manifest["name"].encode() + b"/"
        head = bundle.head or b""
        match = LIST_OF_HEAD.match(head)
        if match:
            self.list_at, self.list_size = int(match[1]), int(match[2])
        while match and match.end() < len(head):
            match = BLOCK_OF_HEAD.match(head, match.end())
            if match:
                *places, root, path, ids = match.groups()
                ids = re.findall(b"....", ids or b"")
                self.blocks.append(Block(*map(int, places), bytes.fromhex(root.decode()), path, ids))
        if not match or len(self.blocks) != -(-bundle.manifest["articles"] // BLOCK):
            raise Damage("index", "index/head")

    def block(self, number):
        """[(id, article, {path: size})…] of a block: ids, paths and digests are the publisher's."""
        if number in self.known:
            return self.known[number]
        bundle, block = self.bundle, self.blocks[number]
        end = self.blocks[number + 1].list if number + 1 < len(self.blocks) else self.list_size
        if not block.list < end <= min(self.list_size, LIST):
            raise Damage("index", "index/head")
        start = self.list_at + len(header(self.top + b"manifest-sha256.txt", self.list_size))
        lines = bundle.take(start + block.list, end - block.list)
        articles, _ = group(parse_list(lines, f"block {number}"))
        member = bundle.member(block.piece, bundle.last)
        if member.path != self.top + b"index/%d" % number or member.size > PIECE:
            raise Damage("index", f"index/{number}")
        *piece, rest = bundle.take(member.body, member.size).split(b"\n")
        entries = [PIECE_LINE.fullmatch(line) for line in piece]
        count = min(BLOCK, bundle.manifest["articles"] - number * BLOCK)
        if rest or not all(entries) or not len(entries) == len(articles) == count:
            raise Damage("index", f"index/{number}")
        result = []
        for article, entry in zip(articles, entries):
            sizes = list(map(int, entry[1].split()))
            if len(sizes) != len(article.files) or not article.content():
                raise Damage("index", f"index/{number}")
            result.append((entry[2] or article.path, article, dict(zip(article.files, sizes))))
        hashes = [block.hash for block in self.blocks]
        hashes[number] = tree([article.leaf(ident) for ident, article, _ in result])
        if tree(hashes).hex() != bundle.manifest["root"][7:]:
            raise Damage("tree", f"block {number}")
        self.known[number] = result
        return result

    def by_path(self, path):
        firsts = [block.path + b"/" for block in self.blocks]
        return max(bisect_right(firsts, path + b"/") - 1, 0)

    def find(self, wanted):
        """The place of the file with this path, or of the only content file of this article."""
        short = sha256(wanted).hexdigest()[:4].encode()
        numbers = [number for number, block in enumerate(self.blocks) if short in block.ids]
        for number in [*numbers, self.by_path(wanted)]:
            for ident, article, _ in self.block(number):
                if ident == wanted:
                    return self.place(number, article)
        parts = wanted.split(b"/")
        for length in range(len(parts), 0, -1):  # the article is the longest that the path begins with
            folder = b"/".join(parts[:length])
            number = self.by_path(folder)
            for _, article, _ in self.block(number):
                if article.path == folder:
                    return self.place(number, article, wanted if length < len(parts) else None)
        raise Damage("missing", wanted)

    def place(self, number, article, path=None):
        """The member of a file of this block, and the digest that it must have."""
        if path is None and len(article.content()) == 1:
            path = article.content()[0]
        if path not in article.files:
            raise Damage("missing", path or article.path + b": not one content file")
        is_content = path != article.metadata
        at = self.blocks[number].content if is_content else self.blocks[number].metadata
        for _, other, sizes in self.block(number):
            for file in other.content() if is_content else [other.metadata]:
                if file == path:
                    member = self.bundle.member(at, self.bundle.last)
                    if member.path != self.top + b"data/" + path:
                        raise Damage("index", path)
                    return member, article.files[path]
                at += len(header(self.top + b"data/" + file, sizes[file]))
                at += sizes[file] + padding(sizes[file])


def cat(file, wanted, keys, unsigned, found, out):
    bundle = Bundle(file, found)
    check_signatures(found, bundle.signed, bundle.signatures, keys, unsigned)
    if not found.ok():
        return
    member, digest = Index(bundle).find(wanted)
    with tempfile.TemporaryFile() as copy:  # nothing goes out before it is checked
        total = sha256()
        for part in bundle.read(member.body, member.size):
            total.update(part)
            copy.write(part)
        if total.hexdigest() != digest:
            raise Damage("content", wanted)
        copy.seek(0)
        shutil.copyfileobj(copy, out)


# ---------------------------------------------------------------- the proof of one article


def root_of_path(leaf, number, size, path):
    """RFC 9162, 2.1.3.2: where a leaf's path leads, or None if it is not a path of such a tree."""
    last = size - 1
    for other in path:
        if last == 0:
            return None
        if number & 1 or number == last:
            leaf = sha256(b"\1" + other + leaf).digest()
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            leaf = sha256(b"\1" + leaf + other).digest()
        number, last = number >> 1, last >> 1
    return leaf if last == 0 else None


def check_proof(proof, document, keys, unsigned, found):
    start = b"vellum-proof/1\n"
    parts, at = [], len(start)
    while proof.startswith(start) and at < len(proof):
        line = re.compile(f"([a-z]+) ({NUMBER})\n".encode()).match(proof, at)
        end = line.end() + int(line[2]) if line else 0
        if not line or proof[end : end + 1] != b"\n":
            raise Damage("proof", f"byte {at}")
        parts.append((line[1], proof[line.end() : end]))
        at = end + 1
    if not re.fullmatch(b"manifest (signature )+id lines path ", b"".join(name + b" " for name, _ in parts)):
        raise Damage("proof", "its parts")
    (_, signed), *signatures, (_, ident), (_, lines), (_, path) = parts
    manifest = parse_manifest(signed)
    check_signatures(found, signed, [(ANY, data) for _, data in signatures], keys, unsigned)
    if len(lines) > LINES:
        raise Damage("over-limit", "lines")
    if not is_path(ident, 512):
        raise Damage("metadata", "id")
    listed = parse_list(lines, "lines")
    articles = [article for article in group(listed)[0] if article.lines == lines]
    match = re.fullmatch(f"({NUMBER})\n((?:{HEX}\n)*)".encode(), path)
    if len(articles) != 1 or not articles[0].content() or not all(map(is_path, listed)):
        raise Damage("checksums", "lines")
    hashes = [bytes.fromhex(line) for line in match[2].decode().split()] if match else []
    if not match or int(match[1]) >= manifest["articles"]:
        raise Damage("tree", "path")
    root = root_of_path(articles[0].leaf(ident), int(match[1]), manifest["articles"], hashes)
    if not root or root.hex() != manifest["root"][7:]:
        raise Damage("tree", "path")
    digest = sha256()
    while part := document.read(1 << 20):
        digest.update(part)
    files = [path.decode() for path in listed if listed[path] == digest.hexdigest()]
    if not files:
        raise Damage("content", "the document is none of the article's files")
    return {"id": ident.decode(), "files": files, "bundle": sha256(signed).hexdigest()}


# ---------------------------------------------------------------- the command line


def judge(path, check):
    """The findings of a check of a file, and what else it says."""
    found, more = Findings(), None
    try:
        with open(path, "rb") as file:
            more = check(file, found)
    except Damage as damage:
        found.add(*damage.args)
    except OSError as error:
        found.add("unreadable", str(error))
    except Exception as bug:  # one bundle must not keep the others from their verdicts
        found.add("bug-in-reader", repr(bug))
    return found, {"file": path, "ok": found.ok(), "findings": found, **(more or {})}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    arguments = {"verify": ["files"], "corpus": ["dir"], "cat": ["file", "wanted"]}
    for name, names in {**arguments, "prove-check": ["proof", "document"]}.items():
        command = commands.add_parser(name)
        command.add_argument("--key", type=parse_key, action="append", default=[], help="a key to trust")
        command.add_argument("--unsigned", action="store_true", help="do not ask who has signed")
        for argument in names:
            command.add_argument(argument, nargs="+" if argument == "files" else None)
    args = parser.parse_args()

    def check(file, found):
        policy = args.key, args.unsigned, found
        if args.command == "cat":
            return cat(file, os.fsencode(args.wanted), *policy, sys.stdout.buffer)
        if args.command == "prove-check":
            with open(args.proof, "rb") as proof:
                return check_proof(proof.read(2 * LINES), file, *policy)
        return verify(file, *policy)

    if args.command == "verify":
        files = args.files
    elif args.command == "corpus":
        files = [os.path.join(folder, name) for folder, _, names in os.walk(args.dir) for name in names]
        files = sorted(filter(os.path.isfile, files))
    else:
        files = [args.file if args.command == "cat" else args.document]
    good = bool(files)
    for path in files:
        found, verdict = judge(path, check)
        if args.command != "cat" or not found.ok():
            print(json.dumps(verdict), file=sys.stderr if args.command == "cat" else sys.stdout)
        good = good and found.ok()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
