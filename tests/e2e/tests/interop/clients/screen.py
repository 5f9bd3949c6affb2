"""A remote screen through -L: one socket with small messages both ways and large ones between them, and a download
beside it. Each message is numbered and compared."""

import os
import random
import sys
import threading
import time

sys.path.insert(0, "/root/modules")
from sockets import *  # noqa: E402,F403

EVENTS = 3000
LARGE_EVERY = 100
DOWNLOAD = 40_000_000


def pixels(number):
    size = 200_000 if number % LARGE_EVERY == 0 else 20 + number % 400
    return random.Random(number).randbytes(size)


def exactly(stream, size):
    data = stream.read(size)
    assert len(data) == size, (len(data), size)
    return data


def screen(one):
    """Each event is answered by an update, as soon as it comes."""
    with one, one.makefile("rb") as stream:
        for number in range(EVENTS):
            assert int.from_bytes(exactly(stream, 8), "big") == number
            update = pixels(number)
            one.sendall(len(update).to_bytes(4, "big") + update)


def viewer(one, latencies):
    sent = [0.0] * EVENTS
    # A hand does not wait for the picture, but no more than this many events are on their way.
    room = threading.Semaphore(16)

    def hand():
        for number in range(EVENTS):
            room.acquire()
            sent[number] = time.monotonic()
            one.sendall(number.to_bytes(8, "big"))

    events = threading.Thread(target=hand)
    events.start()
    with one.makefile("rb") as stream:
        for number in range(EVENTS):
            size = int.from_bytes(exactly(stream, 4), "big")
            assert exactly(stream, size) == pixels(number), number
            latencies.append(time.monotonic() - sent[number])
            room.release()
    events.join()


def download(listener, done):
    data = random.Random("download").randbytes(1_000_000)
    one = connect(("127.0.0.1", 7614))
    speaker = threading.Thread(target=lambda: say(accept(listener), data * (DOWNLOAD // len(data))))
    speaker.start()
    with one.makefile("rb") as stream:
        for _ in range(DOWNLOAD // len(data)):
            assert exactly(stream, len(data)) == data
        assert stream.read() == b""
    speaker.join()
    done.append(True)


screens, downloads = listen(("127.0.0.1", 7601)), listen(("127.0.0.1", 7604))
latencies, done = [], []
with Tunnel(os.environ["CONFIG"], "-L7611:127.0.0.1:7601", "-L7614:127.0.0.1:7604"):
    beside = threading.Thread(target=download, args=(downloads, done))
    beside.start()
    one = connect(("127.0.0.1", 7611))
    far = threading.Thread(target=screen, args=(accept(screens),))
    far.start()
    viewer(one, latencies)
    far.join()
    beside.join()
assert done == [True]
latencies.sort()
print(f"update after an event: median {latencies[EVENTS // 2] * 1000:.1f} ms, worst {latencies[-1] * 1000:.0f} ms")
