"""Runs `ssh` against each server in turn and prints what each run took.

It runs inside the test machine, but in a cgroup of the host's: what the machine's own cgroup uses is the servers' side,
with everything that a login sets in motion there (systemd, logind, D-Bus, the journal, the user's own processes).

    driver.py --server NAME=PORT ... --logins N --kex NAME --transfers N --bytes N --cipher NAME ...
              --sftp N --sftp-cipher NAME --keys N --sessions N -- SSH...

SSH is the client's command line up to the port. Each line of output is one run, fields separated by tabs:

    work  algorithm  server  wall_seconds  server_cpu_seconds  client_cpu_seconds

and the last line is `done`. Of a key that is typed on a terminal, wall_seconds is the time until it is seen. Of an idle
session, the first number is not seconds but MiB: what it adds to the memory of all processes that are not clients.
"""

import argparse
import os
import pty
import re
import select
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


class Terminal:
    """A session on a terminal, on which nothing but the kernel answers: it echoes."""

    def __init__(self, command):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvp(command[0], command)
        # By then the client has told its modes, an echo among them, and left them for raw ones itself.
        self.wait_for(b"ready")

    def wait_for(self, text):
        seen = b""
        while text not in seen:
            if not select.select([self.fd], [], [], 20)[0]:
                sys.exit(f"a terminal says no more than {seen}")
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
    terminals = [(name, Terminal(ssh(port, "-tt", "echo ready; exec sleep 3600"))) for name, port in servers]
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
        command = ssh(port, "-tt", "echo ready; exec sleep 3600")
        terminals = [Terminal(command)]
        rest()
        before = memory({terminal.pid for terminal in terminals})
        terminals += [Terminal(command) for _ in range(sessions)]
        rest()
        after = memory({terminal.pid for terminal in terminals})
        line("idle", "pty", name, (after - before) / sessions)
        for terminal in terminals:
            terminal.end()
        rest()


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
    parser.add_argument("--sftp", type=int, default=0)
    parser.add_argument("--sftp-cipher")
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
            options = ["-c", plan.sftp_cipher, "-o", f"KexAlgorithms={plan.kex}"]
            return ["sftp", *plan.ssh[1:-1], *options, "-q", "-P", port, "-b", batch, plan.ssh[-1]]

        for name, port in in_turn(servers, plan.sftp):
            for work, batch in batches:
                sample(work, plan.sftp_cipher, name, sftp(port, batch))
    print("done")


main()
