"""What a person sees before they decide: rendered from the digested bytes, everything that they cover.

Sections begin at the margin and what comes from outside never does, so no argument can draw a section of its
own. Nothing is cut but a diff beyond DIFF_CAP, and that is said with its size and digest.
"""

import json
from collections.abc import Iterator

from capabilities import visible
from protocol.digest import digest_bytes
from protocol.noun import JSON, JSONObject

DIFF_CAP = 512 * 1024

_PLAIN_KEY = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
_SHOWN_APART = frozenset({"tool", "target", "cwd", "arguments", "environment", "files", "push"})


def render(
    envelope: bytes,
    *,
    advisory: JSONObject | None = None,
    diff: bytes | None = None,
    compensation: str | None = None,
) -> str:
    """The view of an envelope, given as its canonical bytes; a push comes with the diff that it names, and
    how to undo it is a part of the definition whose digest the envelope has."""
    act: JSONObject = json.loads(envelope)
    _check_diff(act.get("push"), diff)
    out = [f"Tool: {_shown(act['tool'])}", f"Digest: {digest_bytes(envelope)}", *_warnings(act, diff)]
    out += ["Arguments", *_value("", act["arguments"])]
    push = act.get("push")
    if isinstance(push, dict):
        out += ["Push", *_push(push)]
    if diff is not None:
        out += _diff(diff)
    out += ["Place", *_place(act)]
    out += ["Bound to", *(f"  {key}: {_shown(act[key])}" for key in sorted(act) if key not in _SHOWN_APART)]
    if compensation is not None:
        out += undo(compensation)
    if advisory:
        out += ["Said by the model, covered by no digest", *_value("", advisory)]
    return "\n".join(out) + "\n"


def undo(compensation: str) -> list[str]:
    """What a person can do afterwards, as the tool declares it."""
    return ["How it can be undone", *(f"  {line}" for line in visible.lines(compensation))]


def _check_diff(push: JSON, diff: bytes | None) -> None:
    named = push.get("diff_digest") if isinstance(push, dict) else None
    given = digest_bytes(diff) if diff is not None else None
    if named != given:
        raise ValueError(f"the envelope names the diff {named}, and the diff given is {given}")


def _warnings(act: JSONObject, diff: bytes | None) -> Iterator[str]:
    for path, text in _strings("", act):
        yield from (f"! {path}: {told}" for told in visible.deceptions(text))
    if diff is not None:
        yield from (f"! diff: {told}" for told in visible.deceptions(visible.text_of(diff)))
        if len(diff) > DIFF_CAP:
            yield f"! diff: cut after {len(_kept(diff))} of {len(diff)} bytes"


def _strings(path: str, value: JSON) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            inner = _at(path, key)
            yield inner, key
            yield from _strings(inner, item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _strings(f"{path}[{index}]", item)


def _value(path: str, value: JSON) -> Iterator[str]:
    """A value under its path: text as a block, anything else as JSON after `=`."""
    if isinstance(value, str):
        yield f"  {path}"
        yield from (f"    {line}" for line in visible.lines(value))
    elif isinstance(value, dict) and value:
        for key in sorted(value):
            yield from _value(_at(path, key), value[key])
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _value(f"{path}[{index}]", item)
    elif path:
        yield f"  {path} = {json.dumps(value)}"
    else:
        yield "  (none)"


def _at(path: str, key: str) -> str:
    if not key or not _PLAIN_KEY.issuperset(key):
        return f"{path}[{visible.written(json.dumps(key, ensure_ascii=False))}]"
    return f"{path}.{key}" if path else key


def _push(push: JSONObject) -> Iterator[str]:
    yield f"  repository: {_shown(push['repository'])}"
    yield f"  ref: {_shown(push['ref'])}"
    yield f"  from: {_or_none(push, 'expected_old', 'the ref does not exist yet')}"
    yield f"  to: {_shown(push['new'])}"
    yield f"  base: {_shown(push['base'])}"
    yield f"  diff: {_shown(push['diff_digest'])}"


def _diff(diff: bytes) -> Iterator[str]:
    yield f"Diff ({len(diff)} bytes)"
    shown = _kept(diff)
    yield from (f"  {line}" for line in visible.lines(visible.text_of(shown), keep_indentation=True))
    if len(shown) < len(diff):
        yield f"  (cut: {len(shown)} of {len(diff)} bytes shown; the whole diff is {digest_bytes(diff)})"


def _kept(diff: bytes) -> bytes:
    """The part of a diff that is shown: whole lines up to the cap."""
    if len(diff) <= DIFF_CAP:
        return diff
    return diff[: diff.rfind(b"\n", 0, DIFF_CAP) + 1 or DIFF_CAP]


def _place(act: JSONObject) -> Iterator[str]:
    yield f"  target: {_or_none(act, 'target')}"
    yield f"  working directory: {_or_none(act, 'cwd')}"
    names = act.get("environment")
    yield "  environment names:" if names else "  environment names: (none)"
    yield from (f"    {_shown(name)}" for name in (names if isinstance(names, list) else ()))
    files = act.get("files")
    yield "  files:" if files else "  files: (none)"
    for path, file_digest in sorted(files.items()) if isinstance(files, dict) else ():
        yield f"    {_shown(file_digest)} {visible.written(path)}"


def _or_none(record: JSONObject, key: str, absent: str = "none") -> str:
    return _shown(record[key]) if key in record else f"({absent})"


def _shown(value: JSON) -> str:
    return visible.written(value) if isinstance(value, str) else json.dumps(value)
