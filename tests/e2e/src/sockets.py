"""Connections through a client's forwardings: both directions, each ended by itself, and what arrived compared."""

import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time

SIZE = 3_000_000


def pattern(seed):
    return random.Random(seed).randbytes(SIZE)


def connect(address):
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    one = socket.socket(family)
    one.settimeout(20)
    one.connect(address)
    return one


def listen(address):
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    if isinstance(address, str) and os.path.exists(address):
        os.unlink(address)
    one = socket.socket(family)
    one.settimeout(20)
    one.bind(address)
    one.listen(300)
    if isinstance(address, str):
        os.chmod(address, 0o777)
    return one


def accept(listener):
    one, _ = listener.accept()
    one.settimeout(20)
    return one


def read_all(one):
    parts = []
    while part := one.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def say(one, data):
    one.sendall(data)
    one.shutdown(socket.SHUT_WR)


def exchange(listener, client):
    """Who connects ends first and hears on, then the other way round."""
    for first, second in ("client", "server"), ("server", "client"):
        one = client()
        ends = {"client": one, "server": accept(listener)}
        for name, other in (first, second), (second, first):
            data = pattern(name)
            speaker = threading.Thread(target=say, args=(ends[name], data))
            speaker.start()
            heard = read_all(ends[other])
            speaker.join()
            assert heard == data, f"{name}: {len(heard)} of {len(data)} bytes"
        for end in ends.values():
            end.close()


def socks(port, target):
    """A connection through a SOCKS5 server (RFC 1928)."""
    one = connect(("127.0.0.1", port))
    one.sendall(b"\x05\x01\x00")
    assert one.recv(2) == b"\x05\x00"
    host, number = target
    one.sendall(b"\x05\x01\x00\x03" + bytes([len(host)]) + host.encode() + struct.pack(">H", number))
    assert one.recv(10)[:2] == b"\x05\x00"
    return one


class Tunnel:
    """ssh in the background with these options."""

    def __init__(self, config, *options):
        self.base = ["ssh", "-F", config, "-S", f"/root/control.{os.getpid()}.{random.randrange(1 << 30)}"]
        self.options = options

    def __enter__(self):
        words = ["-fNM", "-oExitOnForwardFailure=yes", "-oControlPersist=no", *self.options, "server"]
        subprocess.run(self.base + words, check=True, timeout=20, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        return self

    def __exit__(self, *_):
        self.control("exit")

    def control(self, command, *options):
        words = ["-O", command, *options, "server"]
        return subprocess.run(self.base + words, capture_output=True, text=True, timeout=20)

    def session(self, line):
        return subprocess.run(self.base + ["server", line], capture_output=True, text=True, timeout=20).stdout


def eventually(what, check):
    for _ in range(200):
        if check():
            return
        time.sleep(0.05)
    raise AssertionError(what)
