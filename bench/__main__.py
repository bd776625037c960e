"""`python -m bench [NAME ...] [--quick] [--write]`: measures, prints, and writes docs/performance.md."""

import argparse
import asyncio
import importlib
import os
import sys

from bench.figures import table
from bench.report import FILE, Measured, text
from bench.scale import Scale

NAMES = ("step", "turn", "loops", "approve", "stream", "long", "park", "recover", "sandbox")


async def measure(names: list[str], scale: Scale) -> dict[str, Measured]:
    """Each bench, told as soon as it is over."""
    told: dict[str, Measured] = {}
    for name in names:
        module = importlib.import_module(f"bench.{name}")
        before = os.getloadavg()[0]
        rows = await module.measure(scale)
        told[name] = Measured(module.__doc__ or "", rows, (before, os.getloadavg()[0]))
        print(f"\n## {name}\n\n{table(rows)}", flush=True)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--quick", action="store_true", help="one repeat of a part, to look while working")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md: all, not quick")
    asked = parser.parse_args()
    unknown = set(asked.names) - set(NAMES)
    if unknown:
        parser.error(f"there is no bench {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    if asked.write and (asked.names or asked.quick):
        parser.error("--write goes with all benches, measured as a whole")
    scale = Scale(quick=asked.quick)
    told = asyncio.run(measure(asked.names or list(NAMES), scale))
    if asked.write:
        FILE.write_text(text(told, repeats=scale.repeats))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
