"""What the kernel counts for a process."""

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def memory_kb(pid: int) -> int:
    """Resident memory that is the process's own, files apart."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1])
    raise LookupError(f"process {pid} tells no memory")


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
