"""docs/performance.md: every row that was measured, those that miss their goal as well."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Row, table

FILE = Path(__file__).parents[1] / "docs" / "performance.md"

HEAD = """\
# Performance

Written by `make bench` (`python -m bench --write`); `python -m bench NAME --quick` gives a quick look at one.

Figures of one machine mean little on another, so almost every claim is a ratio: Rhone and a
baseline in the same run, in turn, with the same Temporal server and settings, the same workflow
runner, data converter and payloads, and fresh ports, queues and databases in each repeat. The
baseline is what one would write without Rhone: a bare workflow with bare activities, a plain
insert, a spawned process. A ratio is Rhone's figure divided by the baseline's, and the median of
{repeats} repeats. Where the baseline itself varied by more than a quarter between the repeats, a
line below the table says so.

Measured on {machine}.
"""


@dataclass(frozen=True)
class Measured:
    """The rows of one bench, what it is about, and how busy the machine was meanwhile."""

    about: str
    rows: Sequence[Row]
    load: tuple[float, float]


def text(told: Mapping[str, Measured], *, repeats: int) -> str:
    parts = [HEAD.format(repeats=repeats, machine=machine())]
    for name, measured in told.items():
        about = measured.about.partition(": ")[2].strip()
        before, after = measured.load
        busy = f"Load average before and after: {before:.1f} and {after:.1f}, on {os.cpu_count()} cores."
        parts.append(f"## {name}\n\n{about[0].upper()}{about[1:]}\n\n{table(measured.rows)}\n{busy}\n")
    return "\n".join(parts)


def machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), {memory:.0f} GB of memory, "
        f"{platform.system()} {platform.release().partition('-')[0]}, Python {platform.python_version()}"
    )
