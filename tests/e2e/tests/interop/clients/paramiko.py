"""Moves the trees by paramiko, and reads and writes one file in every way that it has."""

import os
import random
import stat

import paramiko

LARGE = "up/size5000011"


def put(sftp, here, there):
    sftp.mkdir(there)
    for entry in os.scandir(here):
        path = f"{there}/{entry.name}"
        if entry.is_dir():
            put(sftp, entry.path, path)
            continue
        sftp.put(entry.path, path)
        status = entry.stat()
        sftp.chmod(path, stat.S_IMODE(status.st_mode))
        sftp.utime(path, (status.st_atime, status.st_mtime))


def get(sftp, there, here):
    os.mkdir(here)
    for entry in sftp.listdir_attr(there):
        path = f"{here}/{entry.filename}"
        if stat.S_ISDIR(entry.st_mode):
            get(sftp, f"{there}/{entry.filename}", path)
            continue
        sftp.get(f"{there}/{entry.filename}", path)
        os.chmod(path, stat.S_IMODE(entry.st_mode))
        os.utime(path, (entry.st_atime, entry.st_mtime))


client = paramiko.SSHClient()
client.load_host_keys(os.environ["KNOWN_HOSTS"])
client.set_missing_host_key_policy(paramiko.RejectPolicy())
client.connect("127.0.0.1", username=os.environ["LOGIN"], key_filename=os.environ["KEY"],
               allow_agent=False, look_for_keys=False)
sftp = client.open_sftp()
put(sftp, "up", "up")
get(sftp, "down", "down")

assert {entry.filename for entry in sftp.listdir_iter("up/many")} == set(os.listdir("up/many"))

with open(LARGE, "rb") as file:
    content = bytearray(file.read())
rng = random.Random(1)
with sftp.open(LARGE, "rb") as file:
    places = [(rng.randrange(len(content) - 40_000), rng.randrange(1, 40_000)) for _ in range(100)]
    for (offset, length), piece in zip(places, file.readv(places)):
        assert piece == content[offset:offset + length], (offset, length)
    file.seek(0)
    file.prefetch()
    assert file.read() == content

with sftp.open("work", "wb") as file:
    file.set_pipelined(True)
    for start in range(0, len(content), 30_011):
        file.write(content[start:start + 30_011])
with sftp.open("work", "r+b", bufsize=0) as file:
    for _ in range(50):
        offset = rng.randrange(len(content) - 5000)
        piece = rng.randbytes(5000)
        file.seek(offset)
        file.write(piece)
        content[offset:offset + 5000] = piece
    file.truncate(4_000_000)
    del content[4_000_000:]
with sftp.open("work", "ab") as file:
    file.write(b"the end")
    content += b"the end"
with sftp.open("work", "rb") as file:
    assert file.stat().st_size == len(content)
    file.prefetch()
    assert file.read() == content

sftp.posix_rename("work", "renamed")
sftp.symlink("renamed", "link")
assert sftp.readlink("link") == "renamed"
assert stat.S_ISLNK(sftp.lstat("link").st_mode)
assert sftp.normalize("link") == f"/home/{os.environ['LOGIN']}/renamed"
for opened in "wx", "r":
    try:
        sftp.open("renamed" if opened == "wx" else "nothing", opened)
    except FileNotFoundError:
        assert opened == "r"
    except OSError:
        assert opened == "wx"
    else:
        raise AssertionError(opened)
sftp.remove("link")
sftp.remove("renamed")
client.close()
