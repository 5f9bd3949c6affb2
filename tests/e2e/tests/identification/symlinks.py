"""Makes a symbolic link by asyncssh and one by libssh, whose order of the two paths follows the name of the server."""

import asyncio
import ctypes
import os
import sys

import asyncssh

USER, KEY = sys.argv[1:]

HOST, OPTION_USER = 0, 4


async def by_asyncssh():
    connection = asyncssh.connect(
        "127.0.0.1", username=USER, client_keys=[KEY], known_hosts=None, config=None, agent_path=None)
    async with connection as client, client.start_sftp_client() as sftp:
        await sftp.symlink("target", "by_asyncssh")


def by_libssh():
    lib = ctypes.CDLL("libssh.so.4")
    for name in "ssh_new", "sftp_new":
        getattr(lib, name).restype = ctypes.c_void_p
    session = ctypes.c_void_p(lib.ssh_new())
    lib.ssh_options_set(session, HOST, b"127.0.0.1")
    lib.ssh_options_set(session, OPTION_USER, USER.encode())
    key = ctypes.c_void_p()
    assert lib.ssh_pki_import_privkey_file(KEY.encode(), None, None, None, ctypes.byref(key)) == 0
    assert lib.ssh_connect(session) == 0
    assert lib.ssh_userauth_publickey(session, None, key) == 0
    sftp = ctypes.c_void_p(lib.sftp_new(session))
    assert lib.sftp_init(sftp) == 0
    assert lib.sftp_symlink(sftp, b"target", b"by_libssh") == 0
    lib.ssh_disconnect(session)


asyncio.run(by_asyncssh())
by_libssh()
for name in "by_asyncssh", "by_libssh":
    path = f"/home/{USER}/{name}"
    assert os.readlink(path) == "target", name
    os.remove(path)
