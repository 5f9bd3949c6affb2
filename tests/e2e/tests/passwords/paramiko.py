"""Runs a command by paramiko: user, password, command. By whichever method the server wants."""

import socket
import sys

import paramiko

user, password, command = sys.argv[1:]
transport = paramiko.Transport(socket.create_connection(("127.0.0.1", 22)))
transport.start_client()
try:
    transport.auth_none(user)
except paramiko.BadAuthenticationType as offered:
    if "password" in offered.allowed_types:
        transport.auth_password(user, password, fallback=False)
    else:
        transport.auth_interactive(user, lambda title, instructions, prompts: [password for _ in prompts])
channel = transport.open_session()
channel.exec_command(command)
sys.stdout.buffer.write(channel.makefile().read())
status = channel.recv_exit_status()
transport.close()
sys.exit(status)
