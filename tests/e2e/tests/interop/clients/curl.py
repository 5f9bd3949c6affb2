"""Moves the files of the trees by one curl each way; then goes on with one that was cut off, and lists."""

import os
import subprocess
from urllib.parse import quote

HOME = f"/home/{os.environ['LOGIN']}"
BASE = f"sftp://127.0.0.1{HOME}"
LARGE = "size5000011"
# Debian 13's, with OpenSSH's server, too: an empty file is not made, or said to be a redirect, after another download.
FORGETS_EMPTY = subprocess.run(["curl", "--version"], capture_output=True).stdout.startswith(b"curl 8.14.")


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def curl(lines, *options):
    # -k: curl looks for one type of host key in its known hosts and offers no other.
    words = ["curl", "-sSk", "--key", os.environ["KEY"], "--pubkey", os.environ["KEY"] + ".pub",
             "-u", os.environ["LOGIN"] + ":", *options]
    return subprocess.run([*words, "-K-"], input="\n".join(lines), text=True, check=True, capture_output=True).stdout


def files(root):
    for place, _, names in os.walk(root):
        for name in names:
            yield os.path.relpath(os.path.join(place, name), root)


up, down = [], []
for name in files("up"):
    up += [f"upload-file = {quoted('up/' + name)}", f"url = {quoted(BASE + '/up/' + quote(name))}"]
curl(up, "--ftp-create-dirs")
for name in files(f"{HOME}/down"):
    if FORGETS_EMPTY and not os.path.getsize(f"{HOME}/down/{name}"):
        os.makedirs(os.path.dirname(f"down/{name}"), exist_ok=True)
        open(f"down/{name}", "w").close()
        continue
    down += [f"output = {quoted('down/' + name)}", f"url = {quoted(BASE + '/down/' + quote(name))}"]
curl(down, "--create-dirs")

with open(f"up/{LARGE}", "rb") as file:
    content = file.read()
with open("half", "wb") as file:
    file.write(content[:2_000_000])
curl(["upload-file = half", f"url = {BASE}/half"], "-Q", f"-chmod 644 /home/{os.environ['LOGIN']}/half")
curl([f"upload-file = up/{LARGE}", f"url = {BASE}/half"], "-C", "2000000")
curl(["output = half", f"url = {BASE}/half"], "-C", "-")
with open("half", "rb") as file:
    assert file.read() == content
part = curl(["output = part", f"url = {BASE}/half"], "-r", "1000000-1999999")
with open("part", "rb") as file:
    assert file.read() == content[1_000_000:2_000_000]
listed = curl([f"url = {BASE}/up/"], "-l").split("\n")
assert set(os.listdir("up")) - {"empty"} <= set(listed), listed
