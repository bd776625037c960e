"""Front matter out of Markdown, read without what makes YAML dangerous."""

import pytest

from protocol.front_matter import split_front_matter


@pytest.mark.parametrize(
    ("text", "fields", "below"),
    [
        ("plain", None, "plain"),
        ("---\na: 1\n---\nrest\n---\nmore", {"a": "1"}, "rest\n---\nmore"),
        ("---\r\na: 2024-01-01\r\n---\r\nrest", {"a": "2024-01-01"}, "rest"),
        ("---\n---\nrest", {}, "rest"),
        (
            "---\na: [x, y]\nb:\n  - z\nc:\n  d: true\n---\n",
            {"a": ["x", "y"], "b": ["z"], "c": {"d": "true"}},
            "",
        ),
        ("---\na: no end\n", None, "---\na: no end\n"),
        ("text\n---\na: 1\n---\n", None, "text\n---\na: 1\n---\n"),
    ],
)
def test_front_matter_is_what_stands_between_the_first_two_lines(
    text: str, fields: dict[str, object] | None, below: str
) -> None:
    assert split_front_matter(text) == (fields, below)


@pytest.mark.parametrize(
    "inside",
    [
        "- a",
        "a: &x b\nc: *x",
        "a: 1\na: 2",
        "? [a]\n: b",
        "\ta: 1",
        "a: \x00",
        "a: " + "x" * 20_000,
        "[" * 3_000,
    ],
)
def test_what_is_no_plain_mapping_is_refused(inside: str) -> None:
    with pytest.raises(ValueError, match="the front matter"):
        split_front_matter(f"---\n{inside}\n---\n")
