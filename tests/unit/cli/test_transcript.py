"""Lists of events as lines for a reader."""

from typing import Any

from cli.transcript import Line, Transcript
from protocol.noun import JSONObject

RUN = "run_0123456789abcdefghjkmnpqrs"
USAGE: JSONObject = {"total": 42}


def event(type_: str, **fields: Any) -> JSONObject:
    common = {"seq": 1, "run_id": RUN, "session_id": "sess_x", "at": "2026-01-01T00:00:00.000Z"}
    return {"type": type_, **common, **fields}


def delta(text: str, attempt: int = 1, block: int = 0, kind: str = "response") -> JSONObject:
    return event(f"{kind}.delta", call_id="call_1", attempt=attempt, block=block, delta=text)


def completed(attempt: int = 1) -> JSONObject:
    return event("call.completed", call_id="call_1", attempt=attempt, usage=USAGE, stop_reason="stop")


def tool(kind: str, **fields: Any) -> JSONObject:
    return event(f"tool_execution.{kind}", tool_execution_id="tool_1", **fields)


def requested(name: str, arguments: JSONObject) -> JSONObject:
    return tool(
        "requested",
        step=0,
        tool_call_id="1",
        tool=name,
        source="target",
        effect="workspace",
        arguments=arguments,
    )


def output(text: str, offset: int, stream: str = "stdout", attempt: int = 1) -> JSONObject:
    return tool("output", attempt=attempt, stream=stream, offset=offset, delta=text)


def done(**fields: Any) -> JSONObject:
    told = {
        "is_error": False,
        "outcome": "succeeded",
        "duration_ms": 1234,
        "preview": "",
        "result_digest": "",
    }
    return tool("completed", attempt=1, **(told | fields))


def lines(*events: JSONObject) -> list[Line]:
    transcript = Transcript(lambda checkpoint_id: f"view of {checkpoint_id}\n+ new")
    return [line for one in events for line in transcript.take(one)]


def test_deltas_become_the_lines_of_the_finished_call() -> None:
    told = lines(delta("Hm", kind="thinking"), delta("one\ntw", block=1), delta("o", block=1), completed())
    assert told == [Line("Hm", "quiet"), Line("one", "said"), Line("two", "said")]


def test_what_a_voided_attempt_said_is_dropped() -> None:
    void = event("call.attempt_voided", call_id="call_1", attempt=1)
    told = lines(delta("half an ans"), void, delta("stale"), delta("the answer", attempt=2), completed(2))
    assert told == [Line("(the model broke off; attempt 1 is void)", "quiet"), Line("the answer", "said")]


def test_text_that_still_grows_is_open_and_not_final() -> None:
    transcript = Transcript(str)
    assert transcript.take(delta("gro")) == []
    assert transcript.take(delta("wing")) == []
    assert transcript.open() == [Line("growing", "said")]


def test_a_command_is_told_with_its_output_line_by_line_and_its_end() -> None:
    told = lines(
        requested("bash", {"command": "make test"}),
        tool("started", attempt=1),
        output("one\ntw", 0),
        output("careful\n", 0, stream="stderr"),
        output("o\nlast", 6),
        done(exit_code=2, outcome="failed", is_error=True),
    )
    assert told == [
        Line("▸ bash make test", "loud"),
        Line("  │ one"),
        Line("  │ careful"),
        Line("  │ two"),
        Line("  │ last"),
        Line("  ✗ failed, exit code 2, 1.2 s", "bad"),
    ]


def test_output_that_comes_twice_is_told_once() -> None:
    assert lines(output("a\n", 0), output("a\n", 0), output("b\n", 2)) == [Line("  │ a"), Line("  │ b")]


def test_a_command_that_is_started_anew_tells_its_output_anew() -> None:
    told = lines(
        requested("bash", {"command": "x"}),
        tool("started", attempt=1),
        output("a\nhal", 0),
        tool("started", attempt=2),
        output("a\nwhole\n", 0, attempt=2),
    )
    assert told[1:] == [
        Line("  │ a"),
        Line("  started anew, attempt 2", "quiet"),
        Line("  │ a"),
        Line("  │ whole"),
    ]


def test_a_tool_without_output_is_told_by_the_begin_of_its_result() -> None:
    preview = "".join(f"{number}\n" for number in range(8))
    told = lines(requested("read_file", {"path": "a.py"}), done(preview=preview))
    assert told[0] == Line("▸ read_file a.py", "loud")
    assert told[-2:] == [Line("  │ … 2 more lines", "quiet"), Line("  ✓ succeeded, 1.2 s", "good")]


def test_a_checkpoint_is_told_with_what_a_person_is_shown() -> None:
    opened = event(
        "checkpoint.opened", checkpoint_id="ckpt_1", kind="approval", expires_at="2026-01-08T00:00:00.000Z"
    )
    decided = event(
        "checkpoint.decided", checkpoint_id="ckpt_1", kind="approval", decision="approve", by="prin_1"
    )
    assert lines(opened, decided) == [
        Line("■ waits for approval: ckpt_1", "loud"),
        Line("  view of ckpt_1"),
        Line("  + new"),
        Line("■ approved by prin_1: ckpt_1", "loud"),
    ]


def test_the_end_says_why_and_what_it_took() -> None:
    error = {"type": "api_error", "code": "git.clone_failed", "message": "no such repository"}
    good = event("run.completed", stop_reason="end_turn", usage=USAGE, cost_usd=0.5)
    bad = event("run.failed", stop_reason="error", usage=USAGE, cost_usd=None, error=error)
    assert lines(good) == [Line("● completed: end_turn, 42 tokens, 0.5000 USD", "good")]
    assert lines(bad) == [
        Line("✗ failed: error, 42 tokens", "bad"),
        Line("  no such repository (git.clone_failed)", "bad"),
    ]


def test_nothing_that_a_model_or_a_program_writes_steers_the_terminal() -> None:
    told = lines(delta("\x1b[2Jgone"), completed(), output("\x1b]0;title\x07\r\n", 0))
    assert told == [Line("\\u{1b}[2Jgone", "said"), Line("  │ \\u{1b}]0;title\\u{7}")]


def test_an_event_of_a_newer_version_is_named_and_passed_by() -> None:
    assert lines(event("run.teleported", where="there")) == [Line("(run.teleported)", "quiet")]
