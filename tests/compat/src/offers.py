"""A server on port 22 that takes note of what each client offers and goes no further.

Prints a line for each connection: the lists of key exchange methods, host key algorithms, ciphers and MACs of the
client's KEXINIT, separated by tabs.
"""

import socket
import struct

KEXINIT = 20
KEX, HOST_KEY, CIPHER, MAC, COMPRESSION = 0, 1, 2, 4, 6


def read_exactly(stream, count):
    data = stream.read(count)
    if len(data) < count:
        raise EOFError
    return data


def kexinit(stream):
    while not stream.readline().startswith(b"SSH-"):
        pass
    while True:
        (length,) = struct.unpack(">I", read_exactly(stream, 4))
        packet = read_exactly(stream, length)
        if packet[1] == KEXINIT:
            break
    lists, rest = [], packet[18:]
    for _ in range(10):
        (length,) = struct.unpack(">I", rest[:4])
        lists.append(rest[4 : 4 + length].decode())
        rest = rest[4 + length :]
    return lists


listener = socket.create_server(("127.0.0.1", 22))
print("listening", flush=True)
while True:
    connection, _ = listener.accept()
    connection.settimeout(20)
    connection.sendall(b"SSH-2.0-test\r\n")
    lists = kexinit(connection.makefile("rb"))
    connection.close()
    print("\t".join(lists[kind] for kind in (KEX, HOST_KEY, CIPHER, MAC, COMPRESSION)), flush=True)
