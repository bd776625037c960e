"""JSON with comments and trailing commas, as editors keep it."""

import json
import re

from protocol.noun import JSON

_TEXT = r'"(?:[^"\\]|\\(?:.|\Z))*+(?:"|\Z)'
_COMMENT = re.compile(_TEXT + r"|//[^\n]*+|/\*.*?(?:\*/|\Z)", re.DOTALL)
_COMMA = re.compile(_TEXT + r"|,(?=\s*+[}\]])", re.DOTALL)


def parse_jsonc(text: str) -> JSON:
    """Raises ValueError, as for other JSON."""
    for piece in (_COMMENT, _COMMA):
        text = piece.sub(lambda found: found[0] if found[0].startswith('"') else " ", text)
    return json.loads(text)
