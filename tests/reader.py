#!/usr/bin/env python3
"""reader.py BUNDLE PUBKEY [OUT]: verifies a vellum bundle and extracts it. Written from FORMAT.md alone."""
import base64, hashlib, os, re, struct, sys
import zstandard

P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def sha(data):
    return hashlib.sha256(data).hexdigest()


def add(a, b):  # extended coordinates, RFC 8032 section 5.1.4
    A, B = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    C, E = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = B - A, E - C, E + C, B + A
    return e * f % P, g * h % P, f * g % P, e * h % P


def mul(n, point):
    out = (0, 1, 1, 0)
    while n:
        out, point, n = (add(out, point) if n & 1 else out), add(point, point), n >> 1
    return out


def point(raw):
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    x = x if x * x % P == x2 else x * pow(2, (P - 1) // 4, P) % P
    assert y < P and x * x % P == x2, "not a point of the curve"
    x = x if x & 1 == sign else P - x
    return x, y, 1, x * y % P


BASE = point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def ed25519(key, message, sig):
    s = int.from_bytes(sig[32:], "little")
    k = int.from_bytes(hashlib.sha512(sig[:32] + key + message).digest(), "little") % L
    a, b = mul(s, BASE), add(point(sig[:32]), mul(k, point(key)))
    return s < L and (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0


def members(tar):  # the canonical tar: ustar, or one pax header with path and size before it
    at, out, pax = 0, [], {}
    while tar[at] != 0:
        block = tar[at : at + 512]
        total = sum(block) - sum(block[148:156]) + 8 * 32
        assert int(block[148:154], 8) == total and block[257:265] == b"ustar\x0000" and block[156:157] in b"0x"
        size, body = int(block[124:135], 8), at + 512
        if block[156:157] == b"x":
            pax = dict(r.split(" ", 1)[1].split("=", 1) for r in tar[body : body + size].decode().split("\n") if r)
        else:
            name, prefix = (f.split(b"\0")[0].decode() for f in (block[:100], block[345:500]))
            size, path = int(pax.get("size", size)), pax.get("path", f"{prefix}/{name}" if prefix else name)
            out.append((path, tar[body : body + size]))
            pax = {}
        at = body + size + -size % 512
        assert not any(tar[body + size : at]), "padding"
    assert tar[at:] == bytes(1024), "the end of the tar"
    return out


def main(bundle, pubkey, target=None):
    raw = open(bundle, "rb").read()
    count, flags, magic = struct.unpack("<IBI", raw[-9:])
    table = raw[-(17 + 8 * count) :]
    assert flags == 0 and magic == 0x8F92EAB1 and struct.unpack("<II", table[:8]) == (0x184D2A5E, len(table) - 8)
    sizes = list(struct.iter_unpack("<II", table[8:-9]))
    assert sum(packed for packed, _ in sizes) + len(table) == len(raw), "the table"
    tar, at = b"", 0
    for packed, plain in sizes:
        frame, at = raw[at : at + packed], at + packed
        data = zstandard.ZstdDecompressor().decompress(frame)
        assert zstandard.frame_content_size(frame) == len(data) == plain, "a frame"
        tar += data
    files = members(tar)
    top = files[0][0].split("/")[0]
    bag = {path.split("/", 1)[1]: data for path, data in files}
    assert len(bag) == len(files) and all(path.startswith(top + "/") for path, _ in files), "the top folder"

    manifest = bag["manifest.toml"]
    fields = dict(re.findall(r'^(\w+) = "?(.*?)"?$', manifest.decode(), re.M))
    assert fields["format"] == "vellum-manifest/1" and fields["name"] == top, "the manifest"
    key = base64.b64decode(open(pubkey).read().split("\n")[1])
    lines = bag[f"manifest.toml.{key[9:1:-1].hex().upper()}.minisig"].decode().split("\n")
    sig, comment, overall = base64.b64decode(lines[1]), lines[2][17:], base64.b64decode(lines[3])
    assert sig[:2] == b"ED" and sig[2:10] == key[2:10], "the signature"
    assert ed25519(key[10:], hashlib.blake2b(manifest).digest(), sig[10:]), "the signature"
    assert ed25519(key[10:], sig[10:] + comment.encode(), overall), "the trusted comment's signature"
    words = ["vellum/1", "manifest", "archive:" + fields.get("archive", "-"), "sha256:" + sha(manifest)]
    assert comment.split("\t")[:-1] == words, "the trusted comment"

    listed = bag["manifest-sha256.txt"]
    assert "sha256:" + sha(listed) == fields["checksums"], "the checksum list"
    digests = [(line[66:], line[:64]) for line in listed.decode().split("\n")[:-1]]
    assert digests == sorted(digests, key=lambda d: d[0].encode()) and len(digests) == int(fields["files"]), "order"
    content = {path: data for path, data in bag.items() if path.startswith("data/")}
    assert [(path, sha(content[path])) for path, _ in digests] == digests and len(content) == len(digests), "content"
    assert sum(map(len, content.values())) == int(fields["bytes"]), "bytes"
    for path, data in content.items() if target else ():
        assert not re.search(r"(^|/)\.{0,2}(/|$)|\\|[\0-\x1f]", path), "a path"
        os.makedirs(os.path.dirname(f"{target}/{path[5:]}"), exist_ok=True)
        open(f"{target}/{path[5:]}", "xb").write(data)
    print(f"OK {sha(manifest)} {fields['articles']} articles, {len(content)} files")


if __name__ == "__main__":
    main(*sys.argv[1:])
