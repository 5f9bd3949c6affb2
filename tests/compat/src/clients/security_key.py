"""A security key in software, under asyncssh: PROTOCOL.u2f of OpenSSH without the device.

`make ALGORITHM PATH` writes a key pair. `login PATH USER PRESENCE COMMAND` runs a command; with PRESENCE `touched` the
signature says that somebody was there, with `untouched` that nobody was.
"""

import asyncio
import struct
import sys
from hashlib import sha256

import asyncssh
from asyncssh import sk_ecdsa, sk_eddsa
from asyncssh.sk import SSH_SK_ED25519
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.hazmat.primitives.serialization import load_der_private_key

PRESENT, COUNTER = 1, 7


def enroll(algorithm, *_):
    """A new key. Its handle, which a device would have sealed, is the private key as it is."""
    if algorithm == SSH_SK_ED25519:
        private = ed25519.Ed25519PrivateKey.generate()
        public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    else:
        private = ec.generate_private_key(ec.SECP256R1())
        public = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return public, private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def signer(flags):
    def sign(data, application, key_handle, *_):
        private = load_der_private_key(key_handle, None)
        message = sha256(application.encode()).digest() + struct.pack(">BI", flags, COUNTER) + sha256(data).digest()
        if isinstance(private, ed25519.Ed25519PrivateKey):
            return flags, COUNTER, private.sign(message), data
        return flags, COUNTER, private.sign(message, ec.ECDSA(SHA256())), data

    return sign


def make(algorithm, path):
    sk_eddsa.sk_enroll = sk_ecdsa.sk_enroll = enroll
    key = asyncssh.generate_private_key(algorithm)
    key.write_private_key(path)
    key.write_public_key(path + ".pub")


def login(path, user, presence, command):
    sk_eddsa.sk_sign = sk_ecdsa.sk_sign = signer(PRESENT if presence == "touched" else 0)

    async def run():
        async with asyncssh.connect("127.0.0.1", username=user, client_keys=[path], config=None, agent_path=None,
                                    known_hosts="/root/known_hosts") as connection:
            done = await connection.run(command)
            print(done.stdout, end="")

    try:
        asyncio.run(run())
    except asyncssh.PermissionDenied:
        sys.exit("permission denied")


{"make": make, "login": login}[sys.argv[1]](*sys.argv[2:])
