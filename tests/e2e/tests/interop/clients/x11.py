"""xdpyinfo and xprop behind the server, on an X server before the client: the same answers as without a server."""

import os
import random
import re
import secrets
import string
import subprocess

LOGIN = os.environ["LOGIN"]
AUTHORITY = os.path.abspath("authority")


def run(words, environment=None, check=True):
    return subprocess.run(words, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60, check=check)


cookie = secrets.token_hex(16)
# The number of the display is not known before it runs, and it takes any cookie of the file.
run(["xauth", "-f", AUTHORITY, "add", ":0", ".", cookie])
server = subprocess.Popen(["Xvfb", "-displayfd", "1", "-auth", AUTHORITY, "-nolisten", "tcp", "-noreset"],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
display = f":{int(server.stdout.readline())}"
run(["xauth", "-f", AUTHORITY, "add", display, ".", cookie])
HERE = {**os.environ, "DISPLAY": display, "XAUTHORITY": AUTHORITY}


def here(*words):
    return run(words, HERE).stdout


def there(line, *options, check=True):
    return run(["ssh", "-F", os.environ["CONFIG"], *options, "server", line], HERE, check)


def information(text):
    """What does not change from one client to the next."""
    return [line for line in text.splitlines() if not re.search("name of display|focus|event mask|resource", line)]


try:
    expected = information(here("xdpyinfo"))
    assert len(expected) > 60, expected
    several = there("echo $DISPLAY; for n in 1 2 3 4 5 6 7 8; do xdpyinfo >x.$n & done; wait; cat x.*", "-Y").stdout
    name, _, several = several.partition("\n")
    assert re.fullmatch(r"localhost:1\d\.0", name), name
    assert information(several) == expected * 8, several[:2000]
    # Not trusted: the X server keeps from it what its extension SECURITY does.
    untrusted = there("xdpyinfo; xprop -root", "-X", "-oForwardX11Trusted=no", check=False)
    assert 40 < len(information(untrusted.stdout)) < len(expected), untrusted

    # Content, each way.
    words = "".join(random.choices(string.ascii_letters, k=100_000))
    with open(f"/home/{LOGIN}/words", "w") as file:
        file.write(words)
    there('xprop -root -format WORDS 8s -set WORDS "$(cat words)"', "-Y")
    assert f'"{words}"' in here("xprop", "-root", "-len", "200000", "WORDS")
    read = there("xprop -root -len 200000 WORDS", "-Y").stdout
    assert f'"{words}"' in read, read[:200]

    # Sessions have displays of their own, and who has no cookie has none.
    first = subprocess.Popen(["ssh", "-F", os.environ["CONFIG"], "-Y", "server", "echo $DISPLAY; cat; xdpyinfo"],
                             env=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    one = first.stdout.readline().strip()
    two = there("echo $DISPLAY; xauth -q remove $DISPLAY; xdpyinfo 2>&1; xauth list | wc -l", "-Y", check=False)
    assert two.stdout.split()[0] != one, (one, two)
    assert "unable to open display" in two.stdout, two
    said, _ = first.communicate(timeout=60)
    assert information(said) == expected, said[:2000]
    assert there("echo [$DISPLAY]").stdout == "[]\n"
finally:
    server.terminate()
    server.wait(30)
