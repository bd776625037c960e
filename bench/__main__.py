"""`python -m bench [NAME ...] [--quick] [--write]`: measures, prints, and writes docs/performance.md."""

import argparse
import asyncio
import importlib
import os
import sys

from bench.figures import Row, table
from bench.scale import Scale

NAMES = ("step", "turn", "loops", "approve", "stream", "long", "park", "recover", "sandbox")


async def measure(names: list[str], scale: Scale) -> dict[str, list[Row]]:
    """The rows of each bench, told as soon as they are there."""
    rows: dict[str, list[Row]] = {}
    for name in names:
        module = importlib.import_module(f"bench.{name}")
        rows[name] = await module.measure(scale)
        print(f"\n## {name}\n\n{table(rows[name])}", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--quick", action="store_true", help="one repeat of a part, to look while working")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    told = parser.parse_args()
    unknown = set(told.names) - set(NAMES)
    if unknown:
        parser.error(f"there is no bench {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    asyncio.run(measure(told.names or list(NAMES), Scale(quick=told.quick)))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
