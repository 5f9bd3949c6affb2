"""Packets of RFC 4253 without a cipher: what a client can say before the first key exchange ends."""

import os
import socket
import struct
import time

DISCONNECT, IGNORE, UNIMPLEMENTED, DEBUG, SERVICE_REQUEST = 1, 2, 3, 4, 5
KEXINIT, NEWKEYS, KEX_ECDH_INIT, KEX_ECDH_REPLY = 20, 21, 30, 31
USERAUTH_REQUEST, USERAUTH_SUCCESS, CHANNEL_OPEN = 50, 52, 90
IDENTIFICATION = b"SSH-2.0-test\r\n"


def string(value):
    return struct.pack(">I", len(value)) + value


def packet(payload):
    padding = 8 - (5 + len(payload)) % 8
    padding += 8 if padding < 4 else 0
    return struct.pack(">IB", 1 + len(payload) + padding, padding) + payload + os.urandom(padding)


def kexinit(kex=b"curve25519-sha256", cipher=b"aes256-gcm@openssh.com", host_key=b"ssh-ed25519"):
    lists = [kex, host_key, cipher, cipher, b"hmac-sha2-256", b"hmac-sha2-256", b"none", b"none", b"", b""]
    return bytes([KEXINIT]) + os.urandom(16) + b"".join(map(string, lists)) + b"\0" + b"\0\0\0\0"


def service_request(name=b"ssh-userauth"):
    return bytes([SERVICE_REQUEST]) + string(name)


def userauth_request(user=b"root", method=b"none"):
    return bytes([USERAUTH_REQUEST]) + string(user) + string(b"ssh-connection") + string(method)


def channel_open():
    return bytes([CHANNEL_OPEN]) + string(b"session") + struct.pack(">III", 0, 1 << 20, 1 << 15)


def ecdh_init(public):
    return bytes([KEX_ECDH_INIT]) + string(public)


class Client:
    """A connection. Prints its own port first: the journal names it."""

    def __init__(self, identification=IDENTIFICATION):
        self.socket = socket.create_connection(("127.0.0.1", 22), timeout=20)
        self.port = self.socket.getsockname()[1]
        print("port", self.port, flush=True)
        if identification is not None:
            self.send(identification)
            self.read_line()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def say(self, *payloads):
        for payload in payloads:
            self.send(packet(payload))

    def read_exactly(self, count):
        data = b""
        while len(data) < count:
            chunk = self.socket.recv(count - len(data))
            if not chunk:
                raise EOFError
            data += chunk
        return data

    def read_line(self):
        line = b""
        while not line.endswith(b"\n"):
            line += self.read_exactly(1)
        return line

    def read_packet(self):
        length, padding = struct.unpack(">IB", self.read_exactly(5))
        return self.read_exactly(length - 1)[: length - 1 - padding]

    def exchange_up_to_reply(self):
        """The server's KEXINIT is read and ours sent: the next word is ours."""
        assert self.read_packet()[0] == KEXINIT
        self.say(kexinit())

    def must_be_closed(self, within=20):
        """Reads all that comes until the server ends the connection; returns the packets' numbers.

        Once there are keys the server's last words are sealed: no packets as they stand, maybe with no payload.
        """
        self.socket.settimeout(within)
        numbers = []
        try:
            while True:
                numbers.extend(self.read_packet()[:1])
        except (EOFError, ConnectionResetError, struct.error):
            return numbers

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
