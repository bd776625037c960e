"""docs/performance.md: every row that was measured, those that miss their goal as well."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Row, table

FILE = Path(__file__).parents[1] / "docs" / "performance.md"

HEAD = """\
# Performance

Written by `make bench`; `python -m bench NAME --write` measures one anew and leaves the others as they are,
`python -m bench NAME --quick` gives a quick look.

Figures of one machine mean little on another, so almost every claim is a ratio: Rhone and a
baseline in the same run, in turn, with the same Temporal server and settings, the same workflow
runner, data converter and payloads, and fresh ports, queues and databases in each repeat. The
baseline is what one would write without Rhone: a bare workflow with bare activities, a plain
insert, a spawned process. A ratio is Rhone's figure divided by the baseline's, and the median of
{repeats} repeats. Where the baseline itself varied by more than a quarter between the repeats, a
line below the table says so.

Measured on {machine}. Each section says how busy the machine was.
"""


@dataclass(frozen=True)
class Measured:
    """The rows of one bench, what it is about, and how busy the machine was meanwhile."""

    about: str
    rows: Sequence[Row]
    load: tuple[float, float]


def write(name: str, measured: Measured, *, repeats: int, order: Sequence[str], file: Path = FILE) -> None:
    """Puts a bench's section into the page in the place of its old one; the others stay as they are."""
    kept = sections(file.read_text()) if file.exists() else {}
    kept[name] = section(name, measured)
    parts = (kept[one] for one in order if one in kept)
    file.write_text("\n".join([HEAD.format(repeats=repeats, machine=machine()), *parts]))


def section(name: str, measured: Measured) -> str:
    about = measured.about.partition(": ")[2].strip()
    before, after = measured.load
    busy = f"Load average before and after: {before:.1f} and {after:.1f}, on {os.cpu_count()} cores."
    return f"## {name}\n\n{about[0].upper()}{about[1:]}\n\n{table(measured.rows)}\n{busy}\n"


def sections(page: str) -> dict[str, str]:
    """The sections of a page that stands, by the names of their benches."""
    found: dict[str, str] = {}
    for part in page.split("\n## ")[1:]:
        name, _, rest = part.partition("\n")
        found[name] = f"## {name}\n{rest.rstrip()}\n"
    return found


def machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), {memory:.0f} GB of memory, "
        f"{platform.system()} {platform.release().partition('-')[0]}, Python {platform.python_version()}"
    )
