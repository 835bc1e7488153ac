#!/usr/bin/env python3
"""Whether a mirror says what its origin says: archive_mirrors.py BINARY DIR.

DIR is as archive_compare.py reads it. Of each archive that the binary finds right a mirror is made,
and one of that mirror; each must be right, with the same articles from the same leaves.
"""

import multiprocessing
import os
import shutil
import sys
import tempfile
import time

from archive_compare import Binary, Trust


def mirrored(task):
    """The archive's name, whether it is right, and what its mirrors say else."""
    path, vellum = task
    trust = Trust(path)
    with tempfile.TemporaryDirectory() as work:
        origin, mirror, second = (os.path.join(work, name) for name in ("origin", "mirror", "second"))
        shutil.copytree(path, origin, ignore=shutil.ignore_patterns(".vellum"))
        binary = Binary(vellum, work, trust)
        expected = binary.verdict(origin, trust.at)
        wrong, at = [], time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(trust.at))
        for here, there in ((origin, mirror), (mirror, second)) if expected["right"] else ():
            if (code := binary.run("sync", "-q", "--at", at, here, there, may=(0, 1, 2)).returncode) != 0:
                wrong.append(f"sync to {os.path.basename(there)} ended with {code}")
                break
            said = binary.verdict(there, trust.at)
            for word in ("right", "void", "articles", "witnessed", "fresh"):
                if said.get(word) != expected.get(word):
                    wrong.append(f"{os.path.basename(there)}, {word}: {said.get(word)}, origin: {expected.get(word)}")
    return os.path.basename(path), expected["right"], wrong


def main():
    vellum, folder = sys.argv[1:]
    archives = [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
    archives = [path for path in archives if os.path.isfile(os.path.join(path, "archive.toml"))]
    right = differ = 0
    with multiprocessing.Pool() as pool:
        for name, is_right, wrong in pool.imap(mirrored, [(path, vellum) for path in archives]):
            right, differ = right + is_right, differ + bool(wrong)
            if wrong:
                print(f"{name}: DIFFERENT", *wrong, sep="\n    ")
    print(f"mirrors of {right} archives that are right; of {differ} they are not as their origin")
    return 1 if differ or not right else 0


if __name__ == "__main__":
    sys.exit(main())
