"""Options that several commands share: a record each, spelled out as options of the commands that take it."""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

DataDir = Annotated[Path | None, typer.Option("--data", help="Data directory; else RHONE_DATA.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@dataclass(frozen=True)
class Reach:
    """Which gateway a command talks to, as whom, and whether a program reads the answer."""

    url: Annotated[
        str | None, typer.Option(help="Address of the gateway; else RHONE_URL, else the data directory's.")
    ] = None
    key: Annotated[
        str | None, typer.Option(help="API key; else RHONE_API_KEY, else the data directory's admin.key.")
    ] = None
    data: DataDir = None
    as_json: AsJson = False


def spelled_out(function: Callable[..., None]) -> Callable[..., None]:
    """A function whose record parameters became one keyword each per field, as the parser wants them."""
    hints = get_type_hints(function, include_extras=True)
    records = {name: hint for name, hint in hints.items() if isinstance(hint, type) and is_dataclass(hint)}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(function).parameters.values():
        record = records.get(parameter.name)
        if record is None:
            plain = parameter.replace(kind=parameter.KEYWORD_ONLY, annotation=hints[parameter.name])
            parameters.append(plain)
            continue
        field_hints = get_type_hints(record, include_extras=True)
        parameters += [_parameter(field, field_hints[field.name]) for field in fields(record)]

    @wraps(function)
    def called(**given: Any) -> None:
        for name, record in records.items():
            given[name] = record(**{field.name: given.pop(field.name) for field in fields(record)})
        function(**given)

    vars(called)["__signature__"] = inspect.Signature(parameters)
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return called


def _parameter(field: Field[Any], annotation: Any) -> inspect.Parameter:
    default = inspect.Parameter.empty if field.default is MISSING else field.default
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )
