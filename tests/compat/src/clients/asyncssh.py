"""Runs a command by asyncssh, with new keys every 256 KiB: key, user, known hosts, compression, command."""

import asyncio
import sys

import asyncssh

identity, user, known_hosts, compression, command = sys.argv[1:]
# Version 2.10 of Debian 12 sends data after its own KEXINIT, which RFC 4253 section 7.1 forbids: OpenSSH takes it, this
# server ends the connection. By default it comes to that after a gibibyte.
early = tuple(map(int, asyncssh.__version__.split(".")[:2])) <= (2, 10)


async def main():
    async with asyncssh.connect(
        "127.0.0.1",
        username=user,
        client_keys=[identity],
        known_hosts=known_hosts,
        config=None,
        agent_path=None,
        rekey_bytes=1 << (30 if early else 18),
        compression_algs=["zlib@openssh.com"] if compression == "compressed" else ["none"],
    ) as connection:
        done = await connection.run(command, input=sys.stdin.buffer.read(), encoding=None)
    sys.stdout.buffer.write(done.stdout)
    sys.exit(done.exit_status)


asyncio.run(main())
