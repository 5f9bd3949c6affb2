"""What may be asked of a program that runs: signals, a terminal's size, a break."""

import asyncio
import os

import asyncssh

FORCED = 'trap "echo signalled" USR1; echo ready; read line; echo got $line'


def connect():
    environment = os.environ
    return asyncssh.connect(
        "127.0.0.1", username=environment["LOGIN"], client_keys=[environment["KEY"]],
        known_hosts=environment["KNOWN_HOSTS"], config=None, agent_path=None)


async def expect(process, text):
    await asyncio.wait_for(process.stdout.readuntil(text), 30)


async def main():
    async with connect() as client:
        # The signal is for all of the process group: it may end a sleep, too.
        command = 'trap "echo signalled" USR1; echo ready; while :; do sleep 0.05; done'
        async with client.create_process(command) as process:
            await expect(process, "ready\n")
            process.send_signal("USR1")
            await expect(process, "signalled\n")
            process.send_signal("KILL")
            await asyncio.wait_for(process.wait_closed(), 30)
            assert process.exit_signal[0] == "KILL", process.exit_signal

        command = 'trap "stty size" WINCH; stty size; while :; do sleep 0.05; done'
        terminal = client.create_process(command, term_type="xterm", term_size=(80, 24))
        async with terminal as process:
            await expect(process, "24 80\r\n")
            process.send_break(500)
            process.change_terminal_size(100, 40)
            await expect(process, "40 100\r\n")
            process.terminate()

    # Who is forced to one program must not signal it.
    path = f"/home/{os.environ['LOGIN']}/.ssh/authorized_keys"
    with open(path, "r+") as file:
        key = file.read()
        file.seek(0)
        quoted = FORCED.replace('"', '\\"')
        file.write(f'command="{quoted}" {key}')
    async with connect() as client, client.create_process("other") as process:
        await expect(process, "ready\n")
        process.send_signal("USR1")
        process.stdin.write("on\n")
        output = await asyncio.wait_for(process.stdout.read(), 30)
        assert output == "got on\n", output


asyncio.run(main())
