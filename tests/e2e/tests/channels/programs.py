"""What programs get from a client, and what the client is told of them: one line for each scene."""

import sys

from conversation import Conversation

port, user, key = int(sys.argv[1]), sys.argv[2], sys.argv[3]
client = Conversation(port, user, key)

# Each says which signal has come and ends. Without its own errors: the shell may say how a program that it waits for died.
TRAPS = """exec 2>/dev/null
for name in HUP INT QUIT TERM USR1 USR2 WINCH; do trap "echo got $name; stty size; exit 9" $name; done
echo up; while :; do sleep 0.05; done"""


def scene(name, told):
    print(f"{name}: {told}", flush=True)


def session():
    return client.session()


def on_terminal():
    return session().terminal()


def ends():
    for line in [
        "exit 0",
        "exit 1",
        "exit 42",
        "exit 255",
        "nosuchcommand",
        "/etc/passwd",
        *[f"ulimit -c 0; kill -{name} $$" for name in "TERM KILL SEGV USR1 ABRT PIPE HUP XCPU BUS 34".split()],
        "ulimit -c unlimited; cd /tmp; kill -SEGV $$",
        "echo output; echo error >&2",
        "exec >&-; sleep 0.1; echo error >&2; exit 4",
        "exec 2>&-; sleep 0.1; echo output; exit 4",
        "exec >&- 2>&-; sleep 0.1; exit 4",
        "(sleep 0.5; echo late) & exit 3",
        "head -c 3000000 /dev/zero | tr '\\0' o; exit 6",
    ]:
        scene(line, session().run(line).end())
    for line in [
        "exit 42",
        "nosuchcommand",
        "kill -TERM $$",
        "kill -KILL $$",
        "exec >&- 2>&- </dev/null; sleep 0.1; exit 4",
        "trap '' HUP; (sleep 0.5; echo late) & exit 3",
        "head -c 3000000 /dev/zero | tr '\\0' o; exit 6",
    ]:
        scene(f"terminal: {line}", on_terminal().run(line).end())
    one = session()
    one.ask("exec", "exit 7", reply=False)
    scene("nobody wants an answer", one.end())
    one = session()
    one.ask("shell")
    scene("a shell", one.say(b"echo $0; exit 3\n").end())


def signals():
    for name in "HUP INT QUIT TERM USR1 USR2 KILL".split():
        one = session().run(TRAPS).wait_for(b"up")
        scene(f"signal {name}", one.ask("signal", name) + ", " + one.end())
    for name in "ABRT ALRM FPE ILL PIPE SEGV INFO@openssh.com SIGTERM TSTP".split() + ["", "x" * 1000]:
        one = session().run("cat")
        scene(f"signal {name:.20}", one.ask("signal", name) + ", " + one.end_input().end())
    for name in "INT", "TERM":
        one = on_terminal().run(TRAPS).wait_for(b"up")
        scene(f"terminal: signal {name}", one.ask("signal", name) + ", " + one.end())
    one = on_terminal().run(TRAPS).wait_for(b"up")
    scene("terminal: its size", one.ask("window-change", 100, 50, 0, 0) + ", " + one.end())
    one = on_terminal().run("cat").say(b"words\n").wait_for(b"words\r\nwords")
    scene("terminal: a break", one.ask("break", 100) + ", " + one.say(b"\x04").end())
    one = session()
    one.ask("subsystem", "sftp")
    scene("signal to a subsystem", one.ask("signal", "TERM") + ", " + one.end_input().end())


def inputs():
    one = session().run("echo before; cat; sleep 0.2; echo after; exit 7")
    scene("the end of input", one.say(b"words\n").end_input().end())
    one = session().run("exec <&-; echo closed; sleep 0.2; exit 7").wait_for(b"closed")
    scene("input that nobody reads", one.say(bytes(200000)).end())
    # A terminal has no end of input, but a letter for it.
    one = on_terminal().run("cat; exit 7").say(b"words\n").wait_for(b"words\r\nwords").end_input()
    one.ask("signal", "TERM")
    scene("terminal: the end of input", one.end())
    one = on_terminal().run("cat; exit 7").say(b"words\n").wait_for(b"words\r\nwords").say(b"\x04")
    scene("terminal: the letter for it", one.end())
    one = session().run("trap '' PIPE; echo up; while echo on; do sleep 0.02; done 2>/dev/null; exit 5").wait_for(b"up")
    scene("a client that closes", one.close().told_of_end())
    one = session().run("echo up; while echo on; do sleep 0.02; done; exit 5").wait_for(b"up")
    one.ask("eow@openssh.com", reply=False)
    scene("a client that wants no output", one.told_of_end())
    one = on_terminal().run("trap 'exit 5' HUP; echo up; while :; do sleep 0.02; done").wait_for(b"up")
    scene("terminal: a client that closes", one.close().told_of_end())


# Of channel requests: RFC 4254 sections 6.2 to 6.10 and OpenSSH's PROTOCOL. Each in each phase of a channel.
REQUESTS = [
    ("env", "LC_ACCEPTED", "C"),
    ("env", "NOT_ACCEPTED", "C"),
    ("auth-agent-req@openssh.com",),
    ("window-change", 100, 50, 0, 0),
    ("break", 100),
    ("signal", "URG"),
    ("subsystem", "nonesuch"),
    ("xon-xoff",),
    ("exit-status", 3),
    ("keepalive@openssh.com",),
    ("nonsense@example.com",),
]
STARTS = [("exec", "true"), ("shell",), ("subsystem", "sftp")]


def answers(name, one, requests):
    for request in requests:
        scene(f"{name}: {request[0]}", one.ask(*request))


def phases():
    # First where it is refused: for a connection an agent is forwarded once.
    one = session().run("echo up; cat").wait_for(b"up")
    answers("after the start", one, REQUESTS + STARTS + [("pty-req", "vt100", 80, 24, 0, 0, b"")])
    one.end_input().end()
    one = session()
    answers("before the start", one, REQUESTS)
    one.run("true").end()
    one = on_terminal()
    answers("terminal: before the start", one, REQUESTS)
    scene("terminal: what came of them", one.run("stty size; echo $LC_ACCEPTED, $TERM").end())
    one = session()
    scene("after a subsystem that is none", one.ask("subsystem", "nonesuch") + ", " + one.run("echo then").end())
    one = session()
    one.ask("pty-req", "", 0, 0, 0, 0, b"")
    scene("terminal: without a size and a name", one.run("stty size; echo $TERM").end())


if user.startswith("forced"):
    one = session().run("anything").wait_for(b"forced")
    scene("signal", one.ask("signal", "TERM") + ", " + one.end_input().end())
    one = session()
    one.ask("shell")
    one.wait_for(b"forced")
    scene("signal to a shell", one.ask("signal", "TERM") + ", " + one.end_input().end())
    one = on_terminal().run("anything").wait_for(b"forced")
    scene("terminal: signal", one.ask("signal", "TERM") + ", " + one.say(b"\x04").end())
else:
    ends()
    signals()
    inputs()
    phases()
