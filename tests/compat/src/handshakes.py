"""Runs many clients, a few at a time, and says in one line for each what was negotiated and how it ended.

Arguments: how many at a time, the file that each client gets as its standard input, and the words of the client. Each
line of standard input is one run: the words that follow, separated by tabs.
"""

import hashlib
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

PATTERNS = (
    re.compile(r"kex: algorithm: (\S+)"),
    re.compile(r"kex: host key algorithm: (\S+)"),
    re.compile(r"kex: client->server (.*?)\r?\n"),
    re.compile(r"kex: server->client (.*?)\r?\n"),
)
at_a_time, content, *client = sys.argv[1:]


def run(line):
    words = client + line.rstrip("\n").split("\t")
    with open(content, "rb") as file:
        try:
            done = subprocess.run(words, stdin=file, capture_output=True, timeout=60)
        except subprocess.TimeoutExpired:
            return "timeout"
    log = done.stderr.decode(errors="replace")
    # A rekey must agree on the same as the first exchange: all different answers are shown.
    found = ["|".join(sorted(set(pattern.findall(log)))) for pattern in PATTERNS]
    exchanges = log.count("SSH2_MSG_NEWKEYS received")
    last = log.strip().rpartition("\n")[2].strip().replace("\t", " ")
    return "\t".join(found + [str(exchanges), hashlib.sha256(done.stdout).hexdigest(), str(done.returncode), last])


with ThreadPoolExecutor(int(at_a_time)) as pool:
    for result in pool.map(run, sys.stdin):
        print(result)
