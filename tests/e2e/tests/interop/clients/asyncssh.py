"""Moves the trees by asyncssh, and one file in blocks of odd sizes with many requests under way."""

import asyncio
import filecmp
import os

import asyncssh

LARGE = "size5000011"


async def main():
    environment = os.environ
    connection = asyncssh.connect(
        "127.0.0.1", username=environment["LOGIN"], client_keys=[environment["KEY"]],
        known_hosts=environment["KNOWN_HOSTS"], config=None, agent_path=None)
    async with connection as client, client.start_sftp_client() as sftp:
        await sftp.put("up", recurse=True, preserve=True)
        await sftp.get("down", recurse=True, preserve=True)

        for block_size, requests in (10_007, 64), (261_120, 16), (3001, 500):
            await sftp.put(f"up/{LARGE}", "odd", block_size=block_size, max_requests=requests)
            await sftp.get("odd", "odd", block_size=block_size, max_requests=requests)
            assert filecmp.cmp(f"up/{LARGE}", "odd", shallow=False), block_size

        async with sftp.open("odd", "r+b") as file:
            await file.seek(3)
            await file.write(b"abc")
            await file.truncate(7)
            assert (await file.stat()).size == 7
            await file.fsync()
        async with sftp.open("odd", "ab") as file:
            await file.write(b"end")
        async with sftp.open("odd", "rb") as file:
            text = await file.read()
        assert text[3:6] == b"abc" and text[7:] == b"end", text

        await sftp.posix_rename("odd", "even")
        await sftp.link("even", "hard")
        await sftp.symlink("hard", "soft")
        assert await sftp.readlink("soft") == "hard"
        assert (await sftp.stat("soft")).size == 10
        assert await sftp.realpath("soft") == f"/home/{environment['LOGIN']}/hard"
        assert sorted(await sftp.glob("*en")) == ["even"]
        assert (await sftp.statvfs(".")).bsize > 0
        if hasattr(sftp, "remote_copy"):
            await sftp.remote_copy("even", "copy")
            assert await sftp.getsize("copy") == 10
            await sftp.remove("copy")
        for name in "even", "hard", "soft":
            await sftp.remove(name)
        try:
            await sftp.stat("even")
        except asyncssh.SFTPNoSuchFile:
            return
        raise AssertionError("it is still there")


asyncio.run(main())
