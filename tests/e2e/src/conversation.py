"""A client that may say of a channel what no stock client says, and tells all that the server says of it."""

import time

import paramiko
from paramiko.common import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_EOF,
    MSG_CHANNEL_FAILURE,
    MSG_CHANNEL_REQUEST,
    MSG_CHANNEL_SUCCESS,
)

# For each wait. Generous: nothing waits as long unless it fails.
DEADLINE = 60

ANSWERS = "success", "failure"


def remembered(word, handler=None):
    def handle(channel, message):
        channel.told.append(word)
        if handler:
            handler(channel, message)

    return handle


def requested(channel, message):
    """How a program ended (RFC 4254 section 6.10), or whatever else comes."""
    words = [message.get_text()]
    message.get_boolean()
    if words == ["exit-status"]:
        words.append(str(message.get_int()))
    elif words == ["exit-signal"]:
        words.append(message.get_text())
        words.append("with a core" if message.get_boolean() else "")
        words.append(message.get_text())
    channel.told.append(" ".join(word for word in words if word))


HANDLERS = paramiko.Transport._channel_handler_table
HANDLERS[MSG_CHANNEL_SUCCESS] = remembered("success")
HANDLERS[MSG_CHANNEL_FAILURE] = remembered("failure")
HANDLERS[MSG_CHANNEL_REQUEST] = requested
HANDLERS[MSG_CHANNEL_EOF] = remembered("eof", paramiko.Channel._handle_eof)
HANDLERS[MSG_CHANNEL_CLOSE] = remembered("close", paramiko.Channel._handle_close)


class Conversation:
    """A connection of a user to the server at this port."""

    def __init__(self, port, user, key):
        self.transport = paramiko.Transport(("127.0.0.1", port))
        self.transport.banner_timeout = self.transport.auth_timeout = DEADLINE
        self.transport.start_client(timeout=DEADLINE)
        self.transport.auth_publickey(user, paramiko.Ed25519Key.from_private_key_file(key))

    def session(self):
        return Session(self.transport)


class Session:
    """A session channel."""

    def __init__(self, transport):
        self.transport = transport
        self.channel = transport.open_session(timeout=DEADLINE)
        self.channel.settimeout(DEADLINE)
        self.channel.told = []
        self.heard = b""

    def ask(self, name, *fields, reply=True):
        """A request, and the answer to it."""
        message = paramiko.Message()
        message.add_byte(bytes([MSG_CHANNEL_REQUEST]))
        message.add_int(self.channel.remote_chanid)
        message.add_string(name)
        message.add_boolean(reply)
        for field in fields:
            if isinstance(field, int):
                message.add_int(field)
            else:
                message.add_string(field)
        before = len(self.answers())
        self.transport._send_user_message(message)
        if not reply:
            return "nothing"
        self.wait(name, lambda: len(self.answers()) > before)
        return self.answers()[-1]

    def answers(self):
        return [word for word in self.channel.told if word in ANSWERS]

    def terminal(self):
        assert self.ask("pty-req", "vt100", 80, 24, 0, 0, b"\0") == "success"
        return self

    def run(self, line):
        assert self.ask("exec", line) == "success"
        return self

    def wait_for(self, text):
        """Waits until the program has written this."""
        while text not in self.heard:
            part = self.channel.recv(4096)
            assert part, (text, self.heard, self.channel.told)
            self.heard += part
        return self

    def say(self, data):
        self.channel.sendall(data)
        return self

    def end_input(self):
        self.channel.shutdown_write()
        return self

    def close(self):
        self.channel.close()
        return self

    def end(self):
        """Waits until the server has closed the channel: what it said of the program, and the program itself."""
        said = self.told_of_end()
        errors = b""
        while self.channel.recv_stderr_ready():
            errors += self.channel.recv_stderr(1 << 16)
        output = [repr(text) if len(text) < 1000 else f"{len(text)} bytes" for text in (self.heard, errors)]
        return ", ".join([said, *output])

    def told_of_end(self):
        """The same without what the program said."""
        while part := self.channel.recv(1 << 16):
            self.heard += part
        self.wait("close", lambda: "close" in self.channel.told)
        # The end of a program and that of its output are two things, of which either is first.
        return ", ".join(sorted(word for word in self.channel.told if word not in ANSWERS))

    def wait(self, what, check):
        deadline = time.monotonic() + DEADLINE
        while not check():
            assert time.monotonic() < deadline, (what, self.channel.told)
            assert self.transport.is_active(), (what, self.channel.told)
            time.sleep(0.005)
