"""One thing that was looked at."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Check:
    """`missing` stops the product from working, `weak` makes it worse than it could be."""

    name: str
    state: Literal["good", "weak", "missing"]
    found: str
    mend: str = ""


def good(name: str, found: str) -> Check:
    return Check(name, "good", found)


def weak(name: str, found: str, mend: str) -> Check:
    return Check(name, "weak", found, mend)


def missing(name: str, found: str, mend: str) -> Check:
    return Check(name, "missing", found, mend)
