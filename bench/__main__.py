"""`python -m bench [NAME ...] [--quick] [--write]`: measures, prints, and keeps it in docs/performance.md."""

import argparse
import asyncio
import importlib
import os
import sys

from bench.figures import table
from bench.report import Measured, write
from bench.scale import Scale

NAMES = (
    *("step", "turn", "loops", "approve", "stream", "long", "park", "recover", "sandbox", "receipts"),
    *("vault", "policy", "mcp", "egress"),
)


async def measure(names: list[str], scale: Scale, *, keep: bool) -> None:
    """Each bench is told, and kept, as soon as it is over."""
    for name in names:
        module = importlib.import_module(f"bench.{name}")
        before = os.getloadavg()[0]
        rows = await module.measure(scale)
        print(f"\n## {name}\n\n{table(rows)}", flush=True)
        if keep:
            measured = Measured(module.__doc__ or "", rows, (before, os.getloadavg()[0]))
            write(name, measured, repeats=scale.repeats, order=NAMES)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--quick", action="store_true", help="one repeat of a part, to look while working")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md; not with --quick")
    asked = parser.parse_args()
    unknown = set(asked.names) - set(NAMES)
    if unknown:
        parser.error(f"there is no bench {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    if asked.write and asked.quick:
        parser.error("--write wants a bench as a whole, not a part of it")
    scale = Scale(quick=asked.quick)
    asyncio.run(measure(asked.names or list(NAMES), scale, keep=asked.write))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
