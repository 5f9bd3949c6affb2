"""Runs a command by paramiko: key, user, known hosts, compression, command."""

import sys
import threading

import paramiko

identity, user, known_hosts, compression, command = sys.argv[1:]
client = paramiko.SSHClient()
client.load_host_keys(known_hosts)
client.set_missing_host_key_policy(paramiko.RejectPolicy())
client.connect("127.0.0.1", username=user, key_filename=identity, allow_agent=False, look_for_keys=False,
               compress=compression == "compressed")
# Not later: paramiko hangs when the end of a channel comes amid a key exchange.
client.get_transport().renegotiate_keys()
stdin, stdout, stderr = client.exec_command(command)
sent = sys.stdin.buffer.read()


def feed():
    stdin.write(sent)
    stdin.channel.shutdown_write()


feeder = threading.Thread(target=feed)
feeder.start()
sys.stdout.buffer.write(stdout.read())
sys.stderr.buffer.write(stderr.read())
feeder.join()
status = stdout.channel.recv_exit_status()
client.close()
sys.exit(status)
