"""A supervisor of small programs, as a process of its own: `python supervisor_program.py DIR`."""

import asyncio
import signal
import sys
from pathlib import Path

from cli.home import Home
from cli.supervise.child import Program
from cli.supervise.supervisor import Supervisor

SLEEPER = """
import os, signal, sys, time
name, home = sys.argv[1:]
def leave(*_):
    with open(home + "/ends", "a") as file:
        file.write(name + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print(name, "is up", flush=True)
while True:
    time.sleep(60)
"""


def sleeper(name: str, home: Path) -> Program:
    return Program(name, (sys.executable, "-c", SLEEPER, name, str(home)), {})


async def main(root: Path) -> None:
    home = Home(root)
    home.make()
    supervisor = Supervisor(home, print)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, supervisor.stop)
    supervisor.start([sleeper(name, root) for name in ("first", "second", "third")])
    supervisor.came_up()
    await supervisor.stopped()
    await supervisor.drain()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
