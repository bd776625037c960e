"""`defaultParams`: what is common to all dialects, and how a dialect's own are read."""

import re
from collections.abc import Mapping
from typing import Annotated, TypeVar

from pydantic import ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from protocol.errors import InvalidRequest
from protocol.noun import JSON, JSONObject, Noun
from protocol.strict import path_of

_SECRET_KEY = re.compile(
    r"(api[-_]?key|authorization|bearer|authorizationtoken|x-.*-?(key|token|auth|secret))", re.IGNORECASE
)
_SECRET_VALUE = re.compile(r"(bearer\s+\S|eyJ[\w-]+\.[\w-]+\.|sk-|pk-|xoxb-)", re.IGNORECASE)

Tokens = Annotated[int, Field(ge=1)]


class CommonParams(Noun):
    """The keys that every dialect takes, in camel case."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, alias_generator=to_camel)

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0)] | None = None
    max_output_tokens: Tokens | None = None
    stop_sequences: Annotated[list[str], Field(min_length=1, max_length=4)] | None = None
    seed: int | None = None


P = TypeVar("P", bound=CommonParams)


def read_params(
    kind: type[P],
    params: JSONObject,
    *,
    place: str,
    reserved: Mapping[str, str],
    elsewhere: Mapping[str, str],
) -> P:
    """The parameters of an entry, or the first refusal with its place in the file.

    `reserved` keys belong to another part of the product, `elsewhere` those that another dialect has: each
    with the reason that is told.
    """
    _refuse_secrets(params, place)
    known = {to_camel(name) for name in kind.model_fields}
    for key in params:
        where = f"{place}.{key}"
        if "_" in key and to_camel(key) in known | reserved.keys() | elsewhere.keys():
            raise _refused("provider.param_wire_shape", where, f"write {to_camel(key)}")
        if key in elsewhere:
            raise _refused("provider.param_unsupported", where, elsewhere[key])
        if key in reserved:
            raise _refused("provider.param_reserved", where, reserved[key])
        if key not in known:
            raise _refused("provider.param_unknown", where, "this parameter is not known")
    try:
        return kind.model_validate(params)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = f"{place}.{path_of(first['loc'])}"
        raise _refused("provider.param_invalid", where, first["msg"]) from error


def _refuse_secrets(value: JSON, where: str) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            if _SECRET_KEY.fullmatch(key):
                raise _refused("provider.param_forbidden", f"{where}.{key}", "credentials are references")
            _refuse_secrets(item, f"{where}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_secrets(item, f"{where}[{index}]")
    elif isinstance(value, str) and _SECRET_VALUE.match(value):
        raise _refused("provider.param_secret", where, "the value looks like a credential")


def _refused(code: str, where: str, why: str) -> InvalidRequest:
    return InvalidRequest(code, f"{where}: {why}", param=where)
