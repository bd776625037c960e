"""`rhone.toml` is refused with the line at which it is wrong."""

import pytest

from protocol.config_text import parse_config
from protocol.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[vaults.wiki]\nkind = "docs"\n',
            "line 1: vaults.wiki: Value error, `path` or `server`, one of them",
        ),
        (
            '\n[vaults.wiki]\nkind = "docs"\nserver = "wiki"\n',
            "line 4: vaults.wiki.server: there is no MCP server 'wiki'; declared are: none",
        ),
        ("[limits]\nspeed = 1\n", "line 2: limits.speed: unknown key"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_config(text)
    assert refused.value.message == f"rhone.toml, {said}"
