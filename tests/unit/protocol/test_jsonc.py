"""JSON with comments: what an editor keeps is read, and a hostile file costs no more than its size."""

import pytest

from protocol.jsonc import parse_jsonc


def test_comments_and_trailing_commas_go_and_texts_stay() -> None:
    told = """
    // a comment with "quotes" and a, }
    {
      "image": "a//b", /* so, } */ "list": [1, 2, /* three */ ],
      "text": "/* no comment */ ,} \\" // ", // the end
    }
    """
    assert parse_jsonc(told) == {"image": "a//b", "list": [1, 2], "text": '/* no comment */ ,} " // '}


@pytest.mark.parametrize("told", ["", "{", '{"a": 1', "[1,,2]", '{"a": "b}', "/* {} ", "nope"])
def test_what_is_no_json_is_refused(told: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_jsonc(told)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("piece", ["/*", ",/*", "/**/", ",/**/", '"\\', ", ", ",//", "//", "[,"])
def test_a_hostile_file_is_read_in_its_time(piece: str) -> None:
    with pytest.raises((ValueError, RecursionError)):
        parse_jsonc(piece * (64 * 1024 // len(piece)))
