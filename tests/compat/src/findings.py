"""Has ssh-audit judge the server on port 22 and prints a line for each failure and warning about an algorithm.

The fields, separated by tabs: kind, algorithm, level, text.
"""

import json
import subprocess
import sys

# The rate of connections is not an algorithm.
words = [sys.executable, "-m", "ssh_audit", "--json", "--skip-rate-test", "127.0.0.1"]
judged = json.loads(subprocess.run(words, stdout=subprocess.PIPE, timeout=100).stdout)
for kind in "kex", "key", "enc", "mac":
    for algorithm in judged[kind]:
        print(kind, algorithm["algorithm"], "offered", "", sep="\t")
        for level in "fail", "warn":
            for text in algorithm["notes"].get(level, []):
                print(kind, algorithm["algorithm"], level, text, sep="\t")
