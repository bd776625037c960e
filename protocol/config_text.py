"""Reads the text of `rhone.toml`: unknown keys and wrong values are refused with their line."""

import re
import tomllib

from pydantic import ValidationError

from protocol.config import Config
from protocol.errors import InvalidRequest
from protocol.strict import path_of


def parse_config(text: str, *, name: str = "rhone.toml") -> Config:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidRequest("config.not_toml", f"{name}: {error}") from error
    try:
        config = Config.model_validate(table)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        location = first["loc"]
        what = "unknown key" if first["type"] == "extra_forbidden" else first["msg"]
        line = _line_of(text, tuple(str(part) for part in location))
        message = f"{name}, line {line}: {path_of(location)}: {what}"
        raise InvalidRequest("config.invalid", message, param=path_of(location)) from error
    for vault, entry in config.vaults.items():
        if entry.server is not None and entry.server not in config.mcp_servers:
            location = ("vaults", vault, "server")
            line, known = _line_of(text, location), ", ".join(sorted(config.mcp_servers)) or "none"
            what = f"there is no MCP server {entry.server!r}; declared are: {known}"
            message = f"{name}, line {line}: {path_of(location)}: {what}"
            raise InvalidRequest("config.invalid", message, param=path_of(location))
    return config


def _line_of(text: str, path: tuple[str, ...]) -> int:
    """The line of the deepest part of `path` that can be found, after the table that holds it."""
    lines = text.splitlines()
    found = 1
    for part in path:
        header = re.compile(rf"^\s*\[+[^\]]*\b{re.escape(part)}\b")
        key = re.compile(rf"""^\s*["']?{re.escape(part)}["']?\s*=|[{{,]\s*{re.escape(part)}\s*=""")
        for number in range(found - 1, len(lines)):
            if header.search(lines[number]) or key.search(lines[number]):
                found = number + 1
                break
    return found
