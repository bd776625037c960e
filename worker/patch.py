"""A unified diff of one text, put onto it exactly: what it says is there has to be there, and only once."""

from protocol.errors import Refused


def patched(before: str, patch: str) -> str:
    """Line numbers are a hint, as they are often wrong; the lines themselves are not. How lines end, and
    whether the last one does, stays as it was."""
    windows = 0 < before.count("\n") == before.count("\r\n")
    text = before.replace("\r\n", "\n") if windows else before
    lines = text.removesuffix("\n").split("\n") if text else []
    at = 0
    for number, (start, old, new) in enumerate(_hunks(patch), start=1):
        place = _place(lines, old, start - 1 + at)
        if place is None:
            raise _refused(f"hunk {number}: the lines that it takes for granted are not there just once")
        lines[place : place + len(old)] = new
        at += len(new) - len(old)
    ended = not text or text.endswith("\n")
    after = "\n".join(lines) + ("\n" if ended and lines else "")
    return after.replace("\n", "\r\n") if windows else after


def _hunks(patch: str) -> list[tuple[int, list[str], list[str]]]:
    """Where each begins, the lines that it replaces and those that it puts there."""
    found: list[tuple[int, list[str], list[str]]] = []
    for line in patch.replace("\r\n", "\n").removesuffix("\n").split("\n"):
        if line.startswith("@@"):
            found.append((_start(line), [], []))
            continue
        if not found and not line.startswith(("--- ", "+++ ", "diff ", "index ")):
            raise _refused("it has to begin with an @@ line")
        if not found or line.startswith("\\"):
            continue
        kind, said = line[:1] or " ", line[1:]
        if kind not in " -+":
            raise _refused(f"a line begins with {kind!r}, not with a blank, - or +")
        _, old, new = found[-1]
        if kind != "+":
            old.append(said)
        if kind != "-":
            new.append(said)
    if not found:
        raise _refused("it has no hunk")
    return found


def _start(line: str) -> int:
    parts = line.split()
    digits = parts[1].lstrip("-").partition(",")[0] if len(parts) > 1 else ""
    return int(digits) if digits.isdecimal() and len(digits) < 9 else 1


def _place(lines: list[str], old: list[str], hint: int) -> int | None:
    if not old:
        return min(max(hint + 1, 0), len(lines))
    if hint >= 0 and lines[hint : hint + len(old)] == old:
        return hint
    places = [at for at in range(len(lines) - len(old) + 1) if lines[at : at + len(old)] == old]
    return places[0] if len(places) == 1 else None


def _refused(why: str) -> Refused:
    return Refused("vault.patch_refused", f"patch: {why}")
