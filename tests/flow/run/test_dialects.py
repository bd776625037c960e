"""Runs whose models are asked in each of the dialects: a thought, two calls at once, an answer."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from providers import scripted_server
from providers.script import parse_script
from tests.conformance import gemini_server, messages_server, responses_server
from tests.served import listening
from tests.stack import Stack, of_type
from tests.temporal_server import TemporalServer

pytestmark = [pytest.mark.temporal, pytest.mark.asyncio(loop_scope="module")]

SCRIPT = """
[[scenarios]]
[[scenarios.turns]]
thinking = "Counting first."
text = "Let me count."
tool_calls = [{ name = "count_read_only" }, { name = "count_read_only" }]
[[scenarios.turns]]
text = "Heard: {last_result}"
"""
READ = {"kind": "tool", "name": "count_read_only"}
DIALECTS = {
    "chat": (scripted_server.app, 'protocol = "openai-compatible"', "/v1"),
    "responses": (responses_server.app, 'protocol = "openai-compatible"\napiShape = "responses"', "/v1"),
    "messages": (messages_server.app, 'protocol = "anthropic"', ""),
    "gemini": (gemini_server.app, 'protocol = "gemini"', ""),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def installation(
    temporal_server: TemporalServer, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Stack]:
    async with AsyncExitStack() as stack:
        tables: dict[str, str] = {}
        for name, (app, protocol, root) in DIALECTS.items():
            port = await stack.enter_async_context(listening(app(parse_script(SCRIPT))))
            url = f"http://127.0.0.1:{port}"
            shown = "passReasoningToLoop = true"
            tables[name] = (
                f'[providers.{name}]\n{protocol}\nbaseURL = "{url}{root}"\nmodels = ["{name}-1"]\n{shown}\n'
            )
        folder = tmp_path_factory.mktemp("stack") / "data"
        made = await stack.enter_async_context(Stack(folder, temporal_server, cache, SCRIPT, **tables))
        await made.start_worker()
        yield made


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_run_is_the_same_whatever_its_model_speaks(stack: Stack, dialect: str) -> None:
    run_id = await stack.create("count", model=f"{dialect}-1", capabilities=[READ])
    told = await stack.ended(run_id)
    assert (told[-1]["type"], told[-1]["stop_reason"]) == ("run.completed", "end_turn")
    assert told[-1]["output_text"].startswith("Heard: ")
    assert len(stack.counted(told)) == 2
    thought = "".join(event["delta"] for event in of_type(told, "thinking.delta"))
    said = "".join(event["delta"] for event in of_type(told, "response.delta"))
    assert (thought, said.startswith("Let me count.Heard: ")) == ("Counting first.", True)
    assert [event["stop_reason"] for event in of_type(told, "call.completed")] == ["tool_calls", "stop"]
