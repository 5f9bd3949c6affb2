"""Runs `ssh` against each server in turn and prints what each run took.

It runs inside the test machine, but in a cgroup of the host's: what the machine's own cgroup uses is the servers' side,
with everything that a login sets in motion there (systemd, logind, D-Bus, the journal, the user's own processes).

    driver.py --server NAME=PORT ... --logins N --kex NAME --transfers N --bytes N --cipher NAME ...
              --sftp N --cipher-of-files NAME --keys N --sessions N --held N
              --connections N --forwards N -- SSH...

SSH is the client's command line up to the port. Each line of output is one run, fields separated by tabs:

    work  algorithm  server  wall_seconds  server_cpu_seconds  client_cpu_seconds

and the last line is `done`. Of a key that is typed on a terminal, wall_seconds is the time until it is seen. Of an idle
session, the first number is not seconds but MiB: what it adds to the memory of all processes that are not clients. Of
sessions held at once it is their count.
"""

import argparse
import atexit
import os
import pty
import re
import select
import signal
import socket
import sys
import time

# The machine is at rest when it uses less than this in one look: 0.5 ms of CPU in 0.2 s, for a login's 50 ms.
LOOK = 0.2
AT_REST = 0.0005


def server_cpu():
    """CPU seconds of all that the machine ever ran: to us it is the root of the hierarchy."""
    with open("/sys/fs/cgroup/cpu.stat") as stat:
        return int(stat.readline().removeprefix("usage_usec ")) / 1e6


def rest():
    """Waits until the machine is at rest and returns its CPU seconds.

    What a login leaves behind (the end of its session, the worker that takes the used one's place) is thereby charged
    to it, and does not slow the next one, which may be another server's.
    """
    before = server_cpu()
    for _ in range(50):
        time.sleep(LOOK)
        now = server_cpu()
        if now - before < AT_REST:
            return now
        before = now
    sys.exit("the machine does not come to rest")


def run(command, feed_bytes):
    """Runs the client; returns wall and client CPU seconds. Its standard input is that many zeros."""
    actions = [(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]
    feeder = None
    if feed_bytes:
        reading, writing = os.pipe()
        feed = ["head", "-c", str(feed_bytes), "/dev/zero"]
        to_pipe = [(os.POSIX_SPAWN_DUP2, writing, 1)]
        began = time.monotonic()
        feeder = os.posix_spawnp("head", feed, os.environ, file_actions=to_pipe)
        os.close(writing)
        actions.append((os.POSIX_SPAWN_DUP2, reading, 0))
    else:
        actions.append((os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0))
        began = time.monotonic()
    client = os.posix_spawnp(command[0], command, os.environ, file_actions=actions)
    _, status, usage = os.wait4(client, 0)
    wall = time.monotonic() - began
    if feeder is not None:
        os.close(reading)
        os.waitpid(feeder, 0)
    if status != 0:
        sys.exit(f"{' '.join(command)}: wait status {status}")
    return wall, usage.ru_utime + usage.ru_stime


def sample(work, algorithm, server, command, feed_bytes=0, report=True):
    before = rest()
    wall, client = run(command, feed_bytes)
    used = rest() - before
    if report:
        print(work, algorithm, server, f"{wall:.6f}", f"{used:.6f}", f"{client:.6f}", sep="\t", flush=True)


# What a terminal's session is started with.
TERMINAL = ("-tt", "echo ready; exec sleep 3600")


class Terminal:
    """A session on a terminal, on which nothing but the kernel answers: it echoes."""

    def __init__(self, command):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvp(command[0], command)

    def ready(self):
        # By then the client has told its modes, an echo among them, and left them for raw ones itself.
        self.wait_for(b"ready")
        return self

    def wait_for(self, text):
        seen = b""
        while text not in seen:
            # Not select(2), which knows no descriptors above 1023.
            waiting = select.poll()
            waiting.register(self.fd, select.POLLIN)
            if not waiting.poll(20_000):
                raise OSError(f"a terminal says no more than {seen}")
            seen += os.read(self.fd, 4096)

    def key(self):
        """Types a key; returns how long it takes until it is seen."""
        began = time.monotonic()
        os.write(self.fd, b"x")
        self.wait_for(b"x")
        return time.monotonic() - began

    def end(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)


def line(work, algorithm, server, first):
    print(work, algorithm, server, f"{first:.6f}", "0", "0", sep="\t", flush=True)


def echo(servers, ssh, keys):
    """Keys, each typed on a terminal of one server after the other."""
    terminals = [(name, Terminal(ssh(port, *TERMINAL)).ready()) for name, port in servers]
    time.sleep(1)
    for _ in range(keys):
        for name, terminal in terminals:
            seconds = terminal.key()
            line("echo", "pty", name, seconds)
            time.sleep(0.005)
    for _, terminal in terminals:
        terminal.end()


def memory(clients):
    """Proportional set size in MiB of all processes of the machine but the clients' and the sessions' own programs."""
    total = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm") as comm:
                if int(pid) in clients or comm.read().strip() in ("sleep", "python3"):
                    continue
            with open(f"/proc/{pid}/smaps_rollup") as rollup:
                total += int(re.search(r"^Pss: +(\d+) kB", rollup.read(), re.M).group(1))
        except (OSError, AttributeError):
            pass  # It has ended, or has no memory: a thread of the kernel.
    return total / 1024


def idle(servers, ssh, sessions):
    """What sessions that do nothing cost, once a first one has set everything in motion."""
    for name, port in servers:
        command = ssh(port, *TERMINAL)
        terminals = [Terminal(command).ready()]
        rest()
        before = memory({terminal.pid for terminal in terminals})
        terminals += [Terminal(command).ready() for _ in range(sessions)]
        rest()
        after = memory({terminal.pid for terminal in terminals})
        line("idle", "pty", name, (after - before) / sessions)
        for terminal in terminals:
            terminal.end()
        rest()


def held(servers, ssh, wanted):
    """How many of so many sessions there are at the same time, each of which still answers a key."""
    for name, port in servers:
        terminals = []
        try:
            while len(terminals) < wanted:
                # A few at a time: fewer than MaxStartups begins to refuse.
                count = min(5, wanted - len(terminals))
                begun = [Terminal(ssh(port, *TERMINAL)) for _ in range(count)]
                terminals += begun
                for terminal in begun:
                    terminal.ready()
        except OSError as error:
            print(f"{name}: {error}", file=sys.stderr)
        alive = 0
        for terminal in terminals:
            try:
                terminal.key()
                alive += 1
            except OSError:
                pass
        line("held", "pty", name, alive)
        for terminal in terminals:
            terminal.end()
        rest()


# What a target that speaks first says, the client's answer, and the target's last word.
GREETING, REQUEST, REPLY = b"220 ready\r\n", b"QUIT\r\n", b"221 bye\r\n"
CHUNK = 1 << 18


def serve(answer):
    """Starts a process which gives each who connects its answer; returns its address."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    target = os.fork()
    if target == 0:
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with connection:
                answer(connection)
    # Whoever reads what is printed here waits for it, too.
    atexit.register(os.kill, target, signal.SIGKILL)
    address = listener.getsockname()
    listener.close()
    return f"{address[0]}:{address[1]}"


def greet(connection):
    connection.sendall(GREETING)
    connection.recv(len(REQUEST), socket.MSG_WAITALL)
    connection.sendall(REPLY)


def converse(port):
    """One connection as of SMTP, POP3, FTP or MySQL: the server speaks first. Returns how long it takes."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        greeting = connection.recv(len(GREETING), socket.MSG_WAITALL)
        connection.sendall(REQUEST)
        rest_of_it = b""
        while piece := connection.recv(CHUNK):
            rest_of_it += piece
    if (greeting, rest_of_it) != (GREETING, REPLY):
        sys.exit(f"through port {port}: {greeting} {rest_of_it}")
    return time.monotonic() - began


def fetch(port, size):
    """Takes all that a target sends; returns how long it takes."""
    buffer, got = bytearray(CHUNK), 0
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        while count := connection.recv_into(buffer):
            got += count
    if got != size:
        sys.exit(f"through port {port}: {got} bytes")
    return time.monotonic() - began


def forwarding(servers, ssh, plan):
    """Connections and transfers through `ssh -N`, where the client listens (-L) and where the server does (-R)."""
    zeros = bytes(CHUNK)

    def pour(connection):
        for _ in range(plan.bytes // CHUNK):
            connection.sendall(zeros)

    greeter, source = serve(greet), serve(pour)
    forwards = [(way, target) for way in ("-L", "-R") for target in (greeter, source)]
    tunnels, next_port = [], 20000
    for name, port in servers:
        options, ports = [], []
        for way, target in forwards:
            options += [way, f"127.0.0.1:{next_port}:{target}"]
            ports.append(next_port)
            next_port += 1
        # No command: there is a tunnel and no session.
        *command, _ = ssh(port, "-N", "-c", plan.cipher_of_files, "-o", "ExitOnForwardFailure=yes", *options, None)
        tunnels.append((name, os.posix_spawnp(command[0], command, os.environ), ports))
        for listening in ports[::2]:
            wait_for_port(listening)
    for index, way in enumerate(("-L", "-R")):
        for _ in range(plan.connections):
            for name, _, ports in tunnels:
                line("connect", way, name, converse(ports[2 * index]))
    for index, way in enumerate(("-L", "-R")):
        for name, client, ports in in_turn(tunnels, plan.forwards):
            before, client_before = rest(), cpu_of(client)
            wall = fetch(ports[2 * index + 1], plan.bytes)
            used, client_used = rest() - before, cpu_of(client) - client_before
            print("forward", way, name, f"{wall:.6f}", f"{used:.6f}", f"{client_used:.6f}", sep="\t", flush=True)
    for _, client, _ in tunnels:
        os.kill(client, signal.SIGTERM)
        os.waitpid(client, 0)


def wait_for_port(port):
    for _ in range(200):
        try:
            return converse(port)
        except OSError:
            time.sleep(0.1)
    sys.exit(f"nobody listens on port {port}")


def cpu_of(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def sftp_batches(size):
    """What `sftp` is to do. All files are in memory: a disk would be what is measured."""
    here, there = "/dev/shm/bench-here", "/dev/shm/bench-there"
    os.makedirs(f"{here}/small", exist_ok=True)
    with open(f"{here}/large", "wb") as large:
        for _ in range(size >> 20):
            large.write(b"\0" * (1 << 20))
    for number in range(1000):
        with open(f"{here}/small/{number}", "wb") as small:
            small.write(b"\0" * 4096)
    batches = {
        "sftp-empty": "pwd",
        "sftp-put": f"put {here}/large {there}-large",
        "sftp-get": f"get {there}-large /dev/null",
        "sftp-many": f"mkdir {there}-small\nput -r {here}/small/. {there}-small\n"
        f"get -r {there}-small/. {here}/back\nrm {there}-small/*\nrmdir {there}-small\nrm {there}-large",
    }
    for work, commands in batches.items():
        with open(f"/root/bench-{work}", "w") as batch:
            batch.write(commands + "\n")
    return [(work, f"/root/bench-{work}") for work in batches]


def in_turn(servers, rounds):
    """Each server once a round, the first one last in every other round: nobody always profits from the other's run."""
    for number in range(rounds):
        yield from servers if number % 2 == 0 else reversed(servers)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", action="append", required=True)
    parser.add_argument("--logins", type=int, default=0)
    parser.add_argument("--kex")
    parser.add_argument("--transfers", type=int, default=0)
    parser.add_argument("--bytes", type=int, default=0)
    parser.add_argument("--cipher", action="append", default=[])
    parser.add_argument("--keys", type=int, default=0)
    parser.add_argument("--sessions", type=int, default=0)
    parser.add_argument("--held", type=int, default=0)
    parser.add_argument("--connections", type=int, default=0)
    parser.add_argument("--forwards", type=int, default=0)
    parser.add_argument("--sftp", type=int, default=0)
    parser.add_argument("--cipher-of-files")
    parser.add_argument("ssh", nargs="+")
    plan = parser.parse_args()
    servers = [tuple(server.split("=")) for server in plan.server]

    def ssh(port, *words):
        host = plan.ssh[-1]
        return [*plan.ssh[:-1], "-p", port, "-o", f"KexAlgorithms={plan.kex}", *words[:-1], host, words[-1]]

    for name, port in in_turn(servers, 3):
        sample("login", plan.kex, name, ssh(port, "true"), report=False)
    for name, port in in_turn(servers, plan.logins):
        sample("login", plan.kex, name, ssh(port, "true"))
    if plan.keys:
        echo(servers, ssh, plan.keys)
    if plan.sessions:
        idle(servers, ssh, plan.sessions)
    if plan.held:
        held(servers, ssh, plan.held)
    if plan.connections or plan.forwards:
        forwarding(servers, ssh, plan)
    for cipher in plan.cipher:
        options = ["-c", cipher, "-o", "MACs=hmac-sha2-256-etm@openssh.com"]
        for name, port in in_turn(servers, plan.transfers):
            # The login around a transfer, to be subtracted from it.
            sample("empty", cipher, name, ssh(port, *options, "head -c 0 /dev/zero"))
            sample("down", cipher, name, ssh(port, *options, f"head -c {plan.bytes} /dev/zero"))
            sample("up", cipher, name, ssh(port, *options, "cat >/dev/null"), feed_bytes=plan.bytes)
    if plan.sftp:
        batches = sftp_batches(plan.bytes)

        def sftp(port, batch):
            options = ["-c", plan.cipher_of_files, "-o", f"KexAlgorithms={plan.kex}"]
            return ["sftp", *plan.ssh[1:-1], *options, "-q", "-P", port, "-b", batch, plan.ssh[-1]]

        for name, port in in_turn(servers, plan.sftp):
            for work, batch in batches:
                sample(work, plan.cipher_of_files, name, sftp(port, batch))
    print("done")


main()
