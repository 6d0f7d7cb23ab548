"""Starts scripted agents quickly: the SDK is read once, and each agent is a fork of this process.

Listens on the Unix socket it is given, in a folder of its own, which it removes. Whoever connects sends one line, a JSON list of arguments for `scripted.py`; the
connection is that agent's standard output from then on, begins with its process id, and ends when the agent does. The nursery
ends with its standard input, and takes with it what still runs.
"""

import gc
import json
import os
import select
import signal
import socket
import sys
import traceback

import scripted

LOOK_SECONDS = 1


def main() -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[1])
    listener.listen(socket.SOMAXCONN)
    gc.freeze()
    print("ready", flush=True)
    agents: set[int] = set()
    try:
        while True:
            readable, _, _ = select.select([listener, sys.stdin], [], [], LOOK_SECONDS)
            bury(agents)
            if sys.stdin in readable:
                return
            if listener in readable:
                connection, _ = listener.accept()
                agent = os.fork()
                if agent == 0:
                    listener.close()
                    become_agent(connection)
                agents.add(agent)
                connection.close()
    finally:
        for agent in agents:
            os.kill(agent, signal.SIGKILL)
        os.unlink(sys.argv[1])
        os.rmdir(os.path.dirname(sys.argv[1]))


def bury(agents: set[int]) -> None:
    """Lets go of those that are dead."""
    while agents:
        dead, _ = os.waitpid(-1, os.WNOHANG)
        if dead == 0:
            return
        agents.discard(dead)


def become_agent(connection: socket.socket) -> None:
    try:
        with connection.makefile() as said:
            arguments = json.loads(said.readline())
        os.dup2(connection.fileno(), sys.stdout.fileno())
        os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())
        connection.close()
        print(os.getpid(), flush=True)
        sys.argv = [scripted.__file__, *arguments]
        scripted.main()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
