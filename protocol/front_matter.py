"""Front matter: the YAML between two `---` lines at the top of a Markdown text; every scalar is a text.

Without aliases (a few bytes of them can stand for gigabytes) and without keys that stand twice.
"""

import re

import yaml

from protocol.noun import JSON, JSONObject

MAX_FRONT_MATTER = 8 * 1024
_FENCED = re.compile(r"\A\ufeff?---[ \t]*\r?\n(|.*?\n)---[ \t]*(?:\r?\n|\Z)", re.DOTALL)


def split_front_matter(text: str) -> tuple[JSONObject | None, str]:
    """The mapping, None where there is none, and the text below it. Raises ValueError with the reason."""
    fenced = _FENCED.match(text)
    if fenced is None:
        return None, text
    if len(fenced[1]) > MAX_FRONT_MATTER:
        raise ValueError(f"the front matter has more than {MAX_FRONT_MATTER} characters")
    try:
        root = yaml.compose(fenced[1], yaml.CBaseLoader)
        value = {} if root is None else _value(root, set())
    except (yaml.YAMLError, UnicodeError, RecursionError) as error:
        raise ValueError(f"the front matter is not YAML: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(value, dict):
        raise ValueError("the front matter is not a mapping")
    return value, text[fenced.end() :]


def _value(node: yaml.Node, seen: set[int]) -> JSON:
    if id(node) in seen:
        raise ValueError("the front matter has an alias")
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, seen) for item in node.value]
    if not isinstance(node, yaml.MappingNode):
        return str(node.value)
    found: JSONObject = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.value in found:
            raise ValueError(f"the front matter has the key {str(key.value)[:64]!r} twice, or it is no text")
        found[key.value] = _value(value, seen)
    return found
