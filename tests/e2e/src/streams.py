"""Streams into readers that stop: what is between has to wait, and to hold little meanwhile."""

import os
import signal
import struct
import subprocess
import sys
import threading
import time

from sockets import Tunnel, accept, connect, eventually, listen

# How long a writer that gets nothing off is taken for one that waits.
STILL = 1.0

# FIFOs between programs of users and this one.
FIFOS = "/srv/streams"


class Stream:
    """So many bytes from one descriptor of this program to another."""

    def __init__(self, name, writer, reader, size):
        self.name, self.size = name, size
        self.writer, self.reader = descriptor(writer), descriptor(reader)
        # Nothing of these is closed while the stream lives.
        self.kept = writer, reader
        self.sent = self.heard = 0
        self.reads = threading.Event()
        self.failed = None
        for work in self.write, self.read:
            threading.Thread(target=self.guarded, args=(work,), daemon=True).start()

    def guarded(self, work):
        try:
            work()
        except BaseException as error:
            self.failed = error

    def write(self):
        part = bytes(1 << 16)
        while self.sent < self.size:
            self.sent += os.write(self.writer, part[: self.size - self.sent])

    def read(self):
        while self.heard < self.size:
            self.reads.wait()
            part = os.read(self.reader, 1 << 18)
            assert part, f"{self.name}: ended after {self.heard} bytes"
            self.heard += len(part)

    def is_through(self):
        if self.failed:
            raise self.failed
        return self.heard == self.size


def must_wait(streams):
    """Returns when no writer gets anything off any more."""
    seen, since = None, time.monotonic()
    while time.monotonic() - since < STILL:
        sent = [stream.sent for stream in streams]
        if sent != seen:
            seen, since = sent, time.monotonic()
        for stream in streams:
            stream.is_through()
        time.sleep(0.05)
    for stream in streams:
        assert stream.sent < stream.size, f"{stream.name}: nothing stops all of {stream.size} bytes"


def descriptor(end):
    if hasattr(end, "settimeout"):
        end.settimeout(None)
    return end if isinstance(end, int) else end.fileno()


def go_through(streams, stops):
    """All at once: readers that stop, then processes between them that stop, then readers that pause now and again.

    Says when all are through and waits for a line, so that the processes can be looked at while they are there."""
    must_wait(streams)
    for stream in streams:
        stream.reads.set()
    time.sleep(0.2)
    for pid in stops:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(STILL)
    for pid in stops:
        os.kill(pid, signal.SIGCONT)
    while not all([stream.is_through() for stream in streams]):
        for stream in streams:
            stream.reads.clear()
        time.sleep(0.05)
        for stream in streams:
            stream.reads.set()
        time.sleep(0.3)
    print("through", flush=True)
    sys.stdin.readline()


def fifo(name):
    os.makedirs(FIFOS, exist_ok=True)
    path = f"{FIFOS}/{name}"
    os.mkfifo(path)
    os.chmod(path, 0o666)
    # Without a wait for the other side.
    return path, os.open(path, os.O_RDWR)


# Sessions end with their pipes, and those with the values here.
sessions = []


def session(tunnel, *words, stderr=None):
    program = subprocess.Popen(tunnel.base + [*words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr)
    sessions.append(program)
    return program


def said(program):
    return program.stdout.readline().decode().strip()


def master(tunnel):
    # "Master running (pid=123)"
    return int("".join(filter(str.isdigit, tunnel.control("check").stderr)))


def from_program(tunnel, name, size, *options):
    path, end = fifo(name)
    # A terminal would make more of some bytes.
    program = session(tunnel, *options, "server", f"stty raw -echo; exec cat {path}", stderr=subprocess.DEVNULL)
    return Stream(name, end, program.stdout, size)


def from_errors(tunnel, name, size):
    path, end = fifo(name)
    return Stream(name, end, session(tunnel, "server", f"exec cat {path} >&2", stderr=subprocess.PIPE).stderr, size)


def to_program(tunnel, name, size, *options):
    path, end = fifo(name)
    line = f"stty raw -echo; echo ready; exec cat >{path}"
    program = session(tunnel, *options, "server", line, stderr=subprocess.DEVNULL)
    assert said(program) == "ready"
    return Stream(name, program.stdin, end, size)


def both_ways(name, size, connector, acceptor):
    """One connection for each direction. `connector` makes one, `acceptor` has its other end."""
    streams = []
    for direction in "there", "back":
        one = connector()
        other = acceptor()
        ends = (one, other) if direction == "there" else (other, one)
        streams.append(Stream(f"{name} {direction}", *ends, size))
    return streams


def agent(path):
    """The client's agent. It refuses to bind a key to the session (PROTOCOL.agent section 1); what comes then is a stream."""
    listener = listen(path)

    def acceptor():
        one = accept(listener)
        (length,) = struct.unpack(">I", exactly(one, 4))
        exactly(one, length)
        one.sendall(b"\x00\x00\x00\x01\x05")
        return one

    return acceptor


# What an X client says first (X Window System Protocol, appendix B), but for the cookie.
HELLO = struct.pack("<BxHHHHH", ord("l"), 11, 0, 18, 16, 0) + b"MIT-MAGIC-COOKIE-1\0\0"


def display(number):
    """The client's display."""
    os.makedirs("/tmp/.X11-unix", exist_ok=True)
    listener = listen(f"/tmp/.X11-unix/X{number}")

    def acceptor():
        one = accept(listener)
        exactly(one, len(HELLO) + 16)
        return one

    return acceptor


def x_client(tunnel, *options):
    """Makes connections to the forwarded display."""
    program = session(tunnel, *options, "server", "echo $DISPLAY; xauth list $DISPLAY; exec cat")
    port = 6000 + int(said(program).split(":")[1].split(".")[0])
    cookie = bytes.fromhex(said(program).split()[-1])

    def connector():
        one = connect(("127.0.0.1", port))
        one.sendall(HELLO + cookie)
        return one

    return connector


def exactly(one, count):
    parts = b""
    while len(parts) < count:
        part = one.recv(count - len(parts))
        assert part, "ended early"
        parts += part
    return parts


class Sftp:
    """A client that asks and does not wait for answers (draft-ietf-secsh-filexfer-02)."""

    def __init__(self, tunnel):
        self.program = session(tunnel, "-s", "server", "sftp")
        self.ask(struct.pack(">BI", 1, 3))

    def ask(self, body):
        self.program.stdin.write(struct.pack(">I", len(body)) + body)
        self.program.stdin.flush()
        length = int.from_bytes(self.program.stdout.read(4), "big")
        return self.program.stdout.read(length)

    def open(self, path, flags):
        answer = self.ask(struct.pack(">BII", 3, 1, len(path)) + path.encode() + struct.pack(">II", flags, 0))
        assert answer[0] == 102, answer
        return answer[5:]


class Requests(Stream):
    """Batches of requests, and answers to them; what is counted are the bytes of the file in a batch."""

    def __init__(self, name, client, batch, answers, size):
        self.batch, self.answers = batch, answers
        super().__init__(name, client.program.stdin, client.program.stdout, size)

    def write(self):
        while self.sent < self.size:
            rest = self.batch
            while rest:
                rest = rest[os.write(self.writer, rest) :]
            self.sent += BATCH

    def read(self):
        while self.heard < self.size:
            left = self.answers
            while left:
                self.reads.wait()
                part = os.read(self.reader, min(left, 1 << 18))
                assert part, f"{self.name}: ended after {self.heard} bytes"
                left -= len(part)
            self.heard += BATCH


# Bytes of the file in a batch; and in a request to read: with so little the requests, too, are more than a window.
BATCH, READ = 1 << 16, 1 << 6


def request(kind, handle, count, data=b""):
    body = struct.pack(">BI", kind, 7) + handle + struct.pack(">QI", 0, count) + data
    return struct.pack(">I", len(body)) + body


def get(tunnel, name, size, path):
    client = Sftp(tunnel)
    handle = client.open(path, 1)

    reads = BATCH // READ
    return Requests(name, client, reads * request(5, handle, READ), reads * (4 + 9 + READ), size)


def put(tunnel, name, size, path):
    client = Sftp(tunnel)
    handle = client.open(path, 2)
    # A status: its length, its type, the request's number, the code, "Success", no language.
    status = 4 + 1 + 4 + 4 + 4 + 7 + 4
    return Requests(name, client, request(6, handle, BATCH, bytes(BATCH)), status, size)
