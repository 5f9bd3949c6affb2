"""Trees of files: made, and compared with their copies."""

import hashlib
import os
import random
import stat
import sys

# Around the sizes of requests and windows, and one that is many of each.
SIZES = 0, 1, 32767, 32768, 32769, 262143, 262145, 5_000_011

NAMES = (
    "with space",
    "ünïcödé ☃",
    "quote'",
    "-dash",
    ".hidden",
    "hash#percent%41",
    "sub directory/deeper/deepest",
)


def make(root):
    rng = random.Random(root)
    files = [(f"size{size}", size) for size in SIZES]
    files += [(name, 1000) for name in NAMES]
    files += [(f"many/{number}", rng.randrange(2000)) for number in range(60)]
    for number, (name, size) in enumerate(files):
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(rng.randbytes(size))
        os.chmod(path, (0o644, 0o600, 0o755)[number % 3])
        os.utime(path, (1_100_000_000 + number, 1_000_000_000 + number))
    os.makedirs(os.path.join(root, "empty"))


def describe(root, kept):
    found = {}
    for place, directories, files in os.walk(root):
        for name in directories:
            if kept != "Files":
                found[os.path.relpath(os.path.join(place, name), root)] = "directory"
        for name in files:
            path = os.path.join(place, name)
            entry = os.lstat(path)
            with open(path, "rb") as file:
                what = [entry.st_size, hashlib.sha256(file.read()).hexdigest()]
            if kept in ("Times", "All"):
                what.append(int(entry.st_mtime))
            if kept == "All":
                what.append(oct(stat.S_IMODE(entry.st_mode)))
            found[os.path.relpath(path, root)] = what
    return found


def compare(original, copy, kept):
    one, other = describe(original, kept), describe(copy, kept)
    assert len(one) > 60, f"{original}: too few"
    wrong = [
        f"{name}: {one.get(name)} became {other.get(name)}"
        for name in sorted(one.keys() | other.keys())
        if one.get(name) != other.get(name)
    ]
    if wrong:
        sys.exit("\n".join(wrong[:20]))
