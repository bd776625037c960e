"""Canonical JSON (RFC 8785) and the digests that are taken over it."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, cast

import rfc8785
from pydantic import BaseModel

MAX_SAFE = 2**53 - 1
"""The largest integer that every reader of JSON takes exactly."""


def canonical(value: object) -> bytes:
    """The one byte form of a JSON value or noun; raises ValueError for what JSON cannot carry exactly."""
    plain = _plain(value)
    try:
        try:
            return rfc8785.dumps(plain)
        except rfc8785.IntegerDomainError:
            return rfc8785.dumps(_doubles(plain))
    except rfc8785.CanonicalizationError as error:
        raise ValueError(f"not canonical JSON: {error}") from error


def digest(value: object) -> str:
    return digest_bytes(canonical(value))


def digest_bytes(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _plain(value: object) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(item) for item in value]
    return value


def _doubles(value: Any) -> Any:
    """Python reads a large whole double (1e20) back as an integer: a double again if the text is the same."""
    if isinstance(value, dict):
        return {key: _doubles(item) for key, item in cast(dict[str, Any], value).items()}
    if isinstance(value, list):
        return [_doubles(item) for item in cast(list[Any], value)]
    if isinstance(value, int) and MAX_SAFE < abs(value) < 10**21:
        double = float(value)
        return double if rfc8785.dumps(double) == str(value).encode() else value
    return value
