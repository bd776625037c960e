"""Glob patterns over whole paths, as the agent in a box reads them."""

import re

from protocol.errors import TargetRefused

_TOKENS = re.compile(r"\*\*/|\*\*|\*|\?|\[[^\]]+\]|\\.|[{},]|.", re.DOTALL)
_MEANINGS = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def compile_glob(pattern: str) -> re.Pattern[str]:
    """`**` crosses folders, `*` and `?` do not, `[a-z]` and `{a,b}` as in a shell."""
    out, braces = "", 0
    for token in _TOKENS.findall(pattern):
        if token in _MEANINGS:
            out += _MEANINGS[token]
        elif token == "{":
            braces, out = braces + 1, out + "(?:"
        elif token == "}" and braces:
            braces, out = braces - 1, out + ")"
        elif token == "," and braces:
            out += "|"
        elif len(token) > 1 and token.startswith("["):
            inner = token[1:-1].replace("\\", "\\\\")
            out += f"[^/{inner[1:]}]" if inner[0] in "!^" else f"[{inner}]"
        else:
            out += re.escape(token[-1])
    try:
        return re.compile(out, re.DOTALL)
    except re.error:
        raise TargetRefused("target.pattern_refused", f"not a glob pattern: {pattern}") from None
