"""The header of a git bundle, read strictly: what it brings, and what it needs."""

import re

from protocol.noun import Noun
from targets.forge.faults import refused_push

_MAGIC = b"# v2 git bundle\n"
_HEADER_CAP = 64 * 1024
_LINE = re.compile(rb"(-?)([0-9a-f]{40})(?: ([^\x00\n]*))?")


class Bundle(Noun):
    """`heads` are the refs it offers; `needs` the commits that the receiver must have; `pack` the rest."""

    heads: tuple[tuple[str, str], ...]
    needs: tuple[str, ...]
    pack: bytes


def read_bundle(data: bytes) -> Bundle:
    if not data.startswith(_MAGIC):
        raise refused_push("bundle_refused", "this is not a git bundle of version 2")
    end = data.find(b"\n\n", len(_MAGIC) - 1, _HEADER_CAP)
    if end < 0:
        raise refused_push("bundle_refused", "the header of the bundle does not end")
    heads: list[tuple[str, str]] = []
    needs: list[str] = []
    for line in data[len(_MAGIC) : end].splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            raise refused_push(
                "bundle_refused", "the header of the bundle has a line that git does not write"
            )
        needed, commit, name = match.groups()
        if needed:
            needs.append(commit.decode())
        else:
            heads.append(((name or b"").decode(errors="replace"), commit.decode()))
    return Bundle(heads=tuple(heads), needs=tuple(needs), pack=data[end + 2 :])
