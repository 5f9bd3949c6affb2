"""How connections through the client's forwardings end: one line for each scene."""

from sockets import *

port, user, config = sys.argv[1:]
# Both servers are asked at the same time.
base = 7000 + 100 * (port != "22")
paths = f"/tmp/{user}.{port}"


def scene(name, told):
    print(f"{name}: {told}", flush=True)


def seen(one):
    """All that comes, and what comes then."""
    data = b""
    try:
        while part := one.recv(1 << 16):
            data += part
    except ConnectionResetError:
        return f"{data!r} and a reset"
    return f"{data!r} and the end"


def written(one):
    """Writes until nobody takes it."""
    try:
        while True:
            one.sendall(bytes(1 << 14))
    except (BrokenPipeError, ConnectionResetError):
        return "nobody takes it"


def reset(one):
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()


# What listens: on the server's side for -L, on the client's for -R.
port_listener, path_listener = listen(("127.0.0.1", base)), listen(f"{paths}.listener")
forwards = [
    f"-L{base + 1}:127.0.0.1:{base}",
    f"-L{paths}.local:{paths}.listener",
    f"-R{base + 2}:127.0.0.1:{base}",
    f"-R{paths}.remote:{paths}.listener",
    f"-R{base + 3}:127.0.0.1:1",
    f"-R{paths}.nowhere:/nowhere",
]
WAYS = [
    ("-L of a port", port_listener, ("127.0.0.1", base + 1)),
    ("-L of a path", path_listener, f"{paths}.local"),
    ("-R of a port", port_listener, ("127.0.0.1", base + 2)),
    ("-R of a path", path_listener, f"{paths}.remote"),
]
with Tunnel(config, "-p", port, "-oHostKeyAlias=127.0.0.1", *forwards):
    for name, listener, address in WAYS:
        exchange(listener, lambda: connect(address))
        scene(name, "each direction ends by itself")
        for first in 0, 1:
            who = ("who connects", "who listens")[first]

            def both():
                ends = [connect(address)]
                ends.append(accept(listener))
                return ends[first], ends[1 - first]

            one, other = both()
            one.sendall(b"words")
            one.close()
            scene(f"{name}: {who} has closed", seen(other))
            one, other = both()
            one.close()
            scene(f"{name}: {who} has closed, and more comes", written(other))
            one, other = both()
            speaker = threading.Thread(target=lambda: (one.sendall(pattern("last")), one.close()))
            speaker.start()
            scene(f"{name}: {who} has said much and closed", read_all(other) == pattern("last"))
            speaker.join()
            if listener == port_listener:
                one, other = both()
                reset(one)
                scene(f"{name}: {who} breaks it off", seen(other))
    scene("-R of a port, to nobody", seen(connect(("127.0.0.1", base + 3))))
    scene("-R of a path, to nobody", seen(connect(f"{paths}.nowhere")))
    held = [connect(address) for _, _, address in WAYS]
    taken = [accept(listener) for _, listener, _ in WAYS]
for (name, _, _), one, other in zip(WAYS, held, taken):
    scene(f"{name}: ssh has ended", f"{seen(one)}, {seen(other)}")
