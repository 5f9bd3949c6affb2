#!/usr/bin/env python3
"""Whole packets of every cipher and MAC, made by other implementations than ours.

AES, ChaCha20, Poly1305 and HMAC are OpenSSL's, through the Python package `cryptography`; UMAC is Nettle's. What SSH
makes of them is written down here from the documents: RFC 4253 sections 6 and 7.2, RFC 4344, OpenSSH's PROTOCOL sections
1.5 and 1.6 and PROTOCOL.chacha20poly1305. Run it with its output in packets.txt; a line is

    cipher mac sequence payload-length packet

where a packet is hexadecimal, or "sha256:" and its hash if it is long. The three packets of an algorithm follow each
other under one key.
"""

import ctypes
import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.poly1305 import Poly1305

NETTLE = ctypes.CDLL("libnettle.so.8")

# K as it is hashed, H, and the session identifier.
SECRET = b"secret"
EXCHANGE_HASH = hashlib.sha256(b"second exchange").digest()
SESSION_IDENTIFIER = hashlib.sha256(b"first exchange").digest()

# Sequence numbers and payload lengths.
PACKETS = [(0, 1), (7, 50), (0xFFFFFFFF, 32768)]

AEADS = ["chacha20-poly1305@openssh.com", "aes128-gcm@openssh.com", "aes256-gcm@openssh.com"]
CTRS = {"aes128-ctr": 16, "aes192-ctr": 24, "aes256-ctr": 32}
# Length of the key and of the tag.
MACS = {
    "umac-128-etm@openssh.com": (16, 16),
    "hmac-sha2-256-etm@openssh.com": (32, 32),
    "hmac-sha2-512-etm@openssh.com": (64, 64),
    "umac-64-etm@openssh.com": (16, 8),
    "umac-128@openssh.com": (16, 16),
    "hmac-sha2-256": (32, 32),
    "hmac-sha2-512": (64, 64),
    "umac-64@openssh.com": (16, 8),
    "hmac-sha1-etm@openssh.com": (20, 20),
}
HASHES = {"hmac-sha1": hashlib.sha1, "hmac-sha2-256": hashlib.sha256, "hmac-sha2-512": hashlib.sha512}


def derive(letter, length):
    """Keys of the direction from server to client (RFC 4253 section 7.2)."""
    start = SECRET + EXCHANGE_HASH
    key = hashlib.sha256(start + letter + SESSION_IDENTIFIER).digest()
    while len(key) < length:
        key += hashlib.sha256(start + key).digest()
    return key[:length]


def lay_out(payload_length, block, counted_header):
    """packet_length, padding_length, payload and the least padding (RFC 4253 section 6)."""
    padding = 4 + -(counted_header + payload_length + 4) % block
    payload = bytes(index * 7 % 251 for index in range(payload_length))
    return struct.pack(">IB", 1 + payload_length + padding, padding) + payload + b"\x09" * padding


def chacha20(key, counter, sequence, data):
    nonce = struct.pack("<Q", counter) + struct.pack(">Q", sequence)
    return Cipher(algorithms.ChaCha20(key, nonce), mode=None).encryptor().update(data)


def umac(name, key, sequence, data):
    bits = name.split("-")[1].split("@")[0]
    context = ctypes.create_string_buffer(16384)
    nonce = struct.pack(">Q", sequence)
    tag = ctypes.create_string_buffer(int(bits) // 8)
    call = lambda verb, *arguments: getattr(NETTLE, f"nettle_umac{bits}_{verb}")(context, *arguments)
    call("set_key", key)
    call("set_nonce", ctypes.c_size_t(len(nonce)), nonce)
    call("update", ctypes.c_size_t(len(data)), data)
    call("digest", ctypes.c_size_t(len(tag)), tag)
    return tag.raw


def mac(name, key, sequence, data):
    if name.startswith("umac"):
        return umac(name, key, sequence, data)
    digest = HASHES[name.replace("-etm@openssh.com", "")]
    return hmac.new(key, struct.pack(">I", sequence) + data, digest).digest()


def packets(cipher, mac_name):
    if cipher.startswith("chacha20"):
        key = derive(b"D", 64)
        for sequence, length in PACKETS:
            clear = lay_out(length, 8, 1)
            sealed = chacha20(key[32:], 0, sequence, clear[:4]) + chacha20(key[:32], 1, sequence, clear[4:])
            one_time = chacha20(key[:32], 0, sequence, bytes(32))
            yield sequence, length, sealed + Poly1305.generate_tag(one_time, sealed)
    elif "gcm" in cipher:
        aead = AESGCM(derive(b"D", 16 if "128" in cipher else 32))
        fixed, counter = struct.unpack(">IQ", derive(b"B", 12))
        for sequence, length in PACKETS:
            clear = lay_out(length, 16, 1)
            nonce = struct.pack(">IQ", fixed, counter)
            counter = (counter + 1) % 2**64
            yield sequence, length, clear[:4] + aead.encrypt(nonce, clear[4:], clear[:4])
    else:
        stream = Cipher(algorithms.AES(derive(b"D", CTRS[cipher])), modes.CTR(derive(b"B", 16))).encryptor()
        mac_key = derive(b"F", MACS[mac_name][0])
        for sequence, length in PACKETS:
            if "-etm@" in mac_name:
                clear = lay_out(length, 16, 1)
                sealed = clear[:4] + stream.update(clear[4:])
                tag = mac(mac_name, mac_key, sequence, sealed)
            else:
                clear = lay_out(length, 16, 5)
                sealed = stream.update(clear)
                tag = mac(mac_name, mac_key, sequence, clear)
            assert len(tag) == MACS[mac_name][1]
            yield sequence, length, sealed + tag


for cipher, mac_name in [(aead, "-") for aead in AEADS] + [(ctr, name) for ctr in CTRS for name in MACS]:
    for sequence, length, packet in packets(cipher, mac_name):
        text = packet.hex() if len(packet) < 1000 else "sha256:" + hashlib.sha256(packet).hexdigest()
        print(cipher, mac_name, sequence, length, text)
