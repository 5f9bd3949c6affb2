"""Data both ways between a host without a route and a server, many connections at once, through sshuttle."""

import hashlib
import os
import random
import socket
import subprocess
import sys
import threading
import time

ADDRESS = "198.51.100.7", 8000
CONNECTIONS = 8

# For the client's side: sends what it is told to and says what has come back.
CLIENT = """
import hashlib, socket, sys, threading
seed = sys.argv[1]
import random
data = random.Random("client" + seed).randbytes(2_000_000)
one = socket.create_connection(("198.51.100.7", 8000), 30)
def send():
    one.sendall(data)
    one.shutdown(socket.SHUT_WR)
speaker = threading.Thread(target=send)
one.sendall(seed.encode() + b"\\n")
speaker.start()
heard = hashlib.sha256()
while part := one.recv(65536):
    heard.update(part)
speaker.join()
assert heard.hexdigest() == hashlib.sha256(random.Random("server" + seed).randbytes(2_000_000)).hexdigest()
"""


def serve(one, peer, results):
    one.settimeout(60)
    with one, one.makefile("rb") as stream:
        seed = stream.readline().decode().strip()
        data = random.Random("server" + seed).randbytes(2_000_000)
        speaker = threading.Thread(target=lambda: (one.sendall(data), one.shutdown(socket.SHUT_WR)))
        speaker.start()
        heard = stream.read()
        speaker.join()
    expected = random.Random("client" + seed).randbytes(2_000_000)
    results[seed] = heard == expected and peer[0] != "192.0.2.2"


def accept(listener, results):
    while True:
        one, peer = listener.accept()
        threading.Thread(target=serve, args=(one, peer, results), daemon=True).start()


def client(seed):
    return subprocess.Popen(["ip", "netns", "exec", "sshuttle", "python3", "-c", CLIENT, str(seed)],
                            stderr=subprocess.DEVNULL)


results = {}
listener = socket.create_server(ADDRESS)
threading.Thread(target=accept, args=(listener, results), daemon=True).start()
ssh = f"ssh -F {os.environ['CONFIG']} -oHostName=192.0.2.1 -oHostKeyAlias=127.0.0.1"
words = ["ip", "netns", "exec", "sshuttle", "sshuttle", "-v", "--method=nat", "-e", ssh, "-r", "server", "198.51.100.0/24"]
with open("log", "w") as log:
    shuttle = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
try:
    end = time.monotonic() + 60
    while "Connected to server" not in open("log").read():
        if shuttle.poll() is not None or time.monotonic() > end:
            sys.exit(open("log").read())
        time.sleep(0.1)
    clients = [client(seed) for seed in range(CONNECTIONS)]
    ends = [one.wait(90) for one in clients]
    assert ends == [0] * CONNECTIONS, (ends, open("log").read())
    # The other side may have more to hear than a client to say when that ends.
    end = time.monotonic() + 60
    while len(results) < CONNECTIONS and time.monotonic() < end:
        time.sleep(0.1)
    assert list(results.values()) == [True] * CONNECTIONS, results
finally:
    shuttle.terminate()
    shuttle.wait(30)
