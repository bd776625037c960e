"""The script file: strict, and exact about what is wrong where."""

import re
from pathlib import Path

import pytest

from protocol.errors import InvalidRequest
from providers.script import parse_script, read_script

TURN = 'turns = [{ text = "a" }]\n'


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("", "scenarios", "required"),
        ("scenarios = []", "scenarios", "at least 1"),
        ("[[scenarios]]", "scenarios[0].turns", "required"),
        ("[[scenarios]]\nturns = []", "scenarios[0].turns", "at least 1"),
        (f"title = 1\n[[scenarios]]\n{TURN}", "title", "not known"),
        (f"[[scenarios]]\n{TURN}wen = 'x'", "scenarios[0].wen", "not known"),
        ('[[scenarios]]\nturns = [{ txt = "a" }]', "scenarios[0].turns[0].txt", "not known"),
        ("[[scenarios]]\nturns = [{}, { text = 1 }]", "scenarios[0].turns[1].text", "string"),
        (
            '[[scenarios]]\nturns = [{ tool_calls = [{ name = "a", args = {} }] }]',
            "scenarios[0].turns[0].tool_calls[0].args",
            "not known",
        ),
        ("[[scenarios]]\nturns = [{ repeat = 0 }]", "scenarios[0].turns[0].repeat", "greater"),
        ('[[scenarios]]\nturns = [{ repeat = "2" }]', "scenarios[0].turns[0].repeat", "integer"),
        ('[[scenarios]]\nturns = [{ finish = "done" }]', "scenarios[0].turns[0].finish", "should be"),
        (
            '[[scenarios]]\nturns = [{ faults = [{ fault = "error:200" }] }]',
            "scenarios[0].turns[0].faults[0].fault",
            "match",
        ),
        (f"[[scenarios]]\n{TURN}when = '('", "scenarios[0].when", "regular expression"),
    ],
)
def test_a_wrong_script_is_refused_with_its_place(text: str, place: str, words: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_script(text, name="a.toml")
    assert (refused.value.code, refused.value.param) == ("provider.script_invalid", place)
    assert refused.value.message.startswith(f"a.toml: {place}: ")
    assert words in refused.value.message


def test_what_is_not_toml_is_refused_with_its_line() -> None:
    with pytest.raises(InvalidRequest, match=r"line 2, column"):
        parse_script("a = 1\nb = \n")


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="No such file"):
        read_script(tmp_path / "a.toml")
    (tmp_path / "b.toml").write_bytes(b"\xff")
    with pytest.raises(InvalidRequest, match="not UTF-8 at byte 0"):
        read_script(tmp_path / "b.toml")


def test_the_first_scenario_that_fits_plays() -> None:
    script = parse_script(f"""
        [[scenarios]]
        models = ["m1"]
        when = "(?i)fix"
        {TURN}
        [[scenarios]]
        when = "^$"
        {TURN}
        [[scenarios]]
        models = ["m2"]
        {TURN}
    """)
    fits = [
        script.scenario(*asked) for asked in (("m1", "Fix it"), ("m1", ""), ("m2", "Fix it"), ("m1", "x"))
    ]
    assert fits == [script.scenarios[0], script.scenarios[1], script.scenarios[2], None]


def test_turns_repeat_and_loop() -> None:
    text = '[[scenarios]]\nturns = [{ text = "a", repeat = 3 }, { text = "b" }]\n'
    once = parse_script(text).scenarios[0]
    assert [turn and turn.text for turn in map(once.turn, range(6))] == ["a", "a", "a", "b", None, None]
    looped = parse_script(f"{text}loop = true").scenarios[0]
    assert [turn and turn.text for turn in map(looped.turn, range(6))] == ["a", "a", "a", "b", "a", "a"]


def test_every_script_in_the_documentation_loads() -> None:
    page = (Path(__file__).parents[3] / "docs" / "scripted.md").read_text(encoding="utf-8")
    scripts = re.findall(r"```toml script\n(.*?)```", page, re.DOTALL)
    assert len(scripts) == 3
    for script in scripts:
        parse_script(script)
