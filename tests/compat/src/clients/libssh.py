"""Runs a command by libssh, with new keys every 256 KiB: key, user, known hosts, compression, command."""

import ctypes
import sys
from ctypes import byref, c_char_p, c_int, c_uint32, c_uint64, c_void_p

identity, user, known_hosts, compression, command = (word.encode() for word in sys.argv[1:])
lib = ctypes.CDLL("libssh.so.4")
for function, result, arguments in (
    ("ssh_new", c_void_p, []),
    ("ssh_options_set", c_int, [c_void_p, c_int, c_void_p]),
    ("ssh_connect", c_int, [c_void_p]),
    ("ssh_get_error", c_char_p, [c_void_p]),
    ("ssh_session_is_known_server", c_int, [c_void_p]),
    ("ssh_pki_import_privkey_file", c_int, [c_char_p, c_char_p, c_void_p, c_void_p, c_void_p]),
    ("ssh_userauth_publickey", c_int, [c_void_p, c_char_p, c_void_p]),
    ("ssh_channel_new", c_void_p, [c_void_p]),
    ("ssh_channel_open_session", c_int, [c_void_p]),
    ("ssh_channel_request_exec", c_int, [c_void_p, c_char_p]),
    ("ssh_channel_write", c_int, [c_void_p, c_char_p, c_uint32]),
    ("ssh_channel_send_eof", c_int, [c_void_p]),
    ("ssh_channel_read", c_int, [c_void_p, c_void_p, c_uint32, c_int]),
    ("ssh_channel_get_exit_status", c_int, [c_void_p]),
):
    entry = getattr(lib, function)
    entry.restype, entry.argtypes = result, arguments

# enum ssh_options_e
HOST, USER, KNOWN_HOSTS, COMPRESSION, PROCESS_CONFIG, REKEY_DATA = 0, 4, 8, 22, 38, 39
KNOWN_HOST = 1

session = lib.ssh_new()


def must(result, wanted=0):
    if result != wanted:
        sys.exit(f"{result}: {lib.ssh_get_error(session)}")


def option(number, value):
    must(lib.ssh_options_set(session, number, value))


option(PROCESS_CONFIG, byref(c_int(0)))
option(HOST, c_char_p(b"127.0.0.1"))
option(USER, c_char_p(user))
option(KNOWN_HOSTS, c_char_p(known_hosts))
option(REKEY_DATA, byref(c_uint64(1 << 18)))
option(COMPRESSION, c_char_p(b"yes" if compression == b"compressed" else b"no"))
must(lib.ssh_connect(session))
must(lib.ssh_session_is_known_server(session), KNOWN_HOST)
key = c_void_p()
must(lib.ssh_pki_import_privkey_file(identity, None, None, None, byref(key)))
must(lib.ssh_userauth_publickey(session, None, key))
channel = lib.ssh_channel_new(session)
must(lib.ssh_channel_open_session(channel))
must(lib.ssh_channel_request_exec(channel, command))

# A session is not for two threads: each piece is read back before the next one is sent.
buffer = ctypes.create_string_buffer(1 << 16)


def read(count):
    while count > 0:
        got = lib.ssh_channel_read(channel, buffer, min(count, len(buffer)), 0)
        if got <= 0:
            sys.exit(f"{got} bytes read: {lib.ssh_get_error(session)}")
        sys.stdout.buffer.write(buffer.raw[:got])
        count -= got


while piece := sys.stdin.buffer.read(1 << 15):
    must(lib.ssh_channel_write(channel, piece, len(piece)), len(piece))
    read(len(piece))
must(lib.ssh_channel_send_eof(channel))
must(lib.ssh_channel_read(channel, buffer, len(buffer), 0))
must(lib.ssh_channel_get_exit_status(channel))
lib.ssh_disconnect(c_void_p(session))
