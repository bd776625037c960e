"""The strict JSON decoder: what is hashed, approved or stored was read without guessing.

Refused, each by name: duplicate keys, NaN and Infinity, numbers that an IEEE double cannot carry, lone
surrogates, nesting over `MAX_DEPTH`, bodies over the caller's limit (RFC 8259, RFC 8785, I-JSON).
"""

import json
import math
import re
from collections.abc import Callable
from typing import NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from protocol.digest import MAX_SAFE
from protocol.errors import InvalidRequest, TooLarge
from protocol.noun import JSON

MAX_DEPTH = 64
MAX_BODY = 8 * 1024 * 1024

_STRUCTURE = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
"""Strings, also one without an end (else each quote in it would be tried anew), and brackets outside them."""
_SURROGATE = re.compile("[\ud800-\udfff]")

N = TypeVar("N", bound=BaseModel)


class _Duplicate(ValueError):
    pass


def decode(raw: bytes, *, limit: int = MAX_BODY) -> JSON:
    """The value in `raw`; raises InvalidRequest or TooLarge with the reason."""
    if len(raw) > limit:
        raise TooLarge("request.too_large", f"the body has {len(raw)} bytes, the limit is {limit}")
    _refuse_depth(raw)
    try:
        return _strings(_DECODER.decode(raw.decode("utf-8")))
    except UnicodeDecodeError as error:
        raise InvalidRequest("request.not_utf8", f"the body is not UTF-8 at byte {error.start}") from error
    except _Duplicate as error:
        raise InvalidRequest(
            "request.duplicate_key", f"the key {error} stands twice", param=str(error)
        ) from error
    except json.JSONDecodeError as error:
        message = f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        raise InvalidRequest("request.not_json", message) from error
    except ValueError as error:
        raise InvalidRequest("request.not_json", f"the body is not JSON: {error}") from error


def parse(model: type[N], raw: bytes, *, limit: int = MAX_BODY) -> N:
    """A noun out of a request body; faults name the field in dot-bracket form."""
    return validate(model, decode(raw, limit=limit))


def validate(model: type[N], value: JSON) -> N:
    try:
        return model.model_validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        param = path_of(first["loc"])
        kind, message = first["type"], first["msg"]
        code = "request.unknown_field" if kind == "extra_forbidden" else "request.invalid_field"
        raise InvalidRequest(code, f"{param or 'body'}: {message}", param=param or None) from error


def path_of(location: tuple[int | str, ...]) -> str:
    """`("capabilities", 0, "tool", "name")` as `capabilities[0].name`: union tags are not fields."""
    out = ""
    after_index = False
    for part in location:
        if isinstance(part, int):
            out += f"[{part}]"
        elif "[" in part or "-" in part:
            continue
        elif after_index and part in _TAGS:
            after_index = False
            continue
        else:
            out += f".{part}" if out else part
        after_index = isinstance(part, int)
    return out


_TAGS: set[str] = {
    *("tool", "mcp", "skill", "memory", "vault", "eval", "compaction", "client_tool"),
    *("text", "image", "audio", "video", "document", "asset"),
    *("input", "response", "system", "thinking", "tool_call", "tool_result"),
    *("str", "int", "float", "bool"),
}


def _refuse_depth(raw: bytes) -> None:
    depth = 0
    for token in _STRUCTURE.finditer(raw):
        first = raw[token.start()]
        if first in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise InvalidRequest("request.too_deep", f"the body nests deeper than {MAX_DEPTH} levels")
        elif first in b"]}":
            depth -= 1


def _pairs(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    out: dict[str, JSON] = {}
    for key, value in pairs:
        if key in out:
            raise _Duplicate(_text(key))
        out[_text(key)] = _strings(value)
    return out


def _strings(value: JSON) -> JSON:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return [_strings(item) for item in value]
    return value


def _text(text: str) -> str:
    if _SURROGATE.search(text):
        raise ValueError("a string holds a lone surrogate")
    return text


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:32]} is out of range")
    return value


def _int(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > MAX_SAFE:
        raise ValueError(f"the integer {text[:32]} does not fit an IEEE double exactly")
    return int(text)


def _decoder(pairs: Callable[[list[tuple[str, JSON]]], JSON]) -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=pairs, parse_constant=_constant, parse_float=_float, parse_int=_int
    )


_DECODER = _decoder(_pairs)
