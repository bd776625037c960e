"""APR-08 in a run: a standing permission answers for its command, and a wrapper of it asks again."""

import pytest

from records import standing
from records.rulings import rulings
from records.tx import Tx
from tests.stack import Stack, of_type

pytestmark = [pytest.mark.temporal, pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]

SCRIPT = r"""
[[scenarios]]
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = "echo hi" } }]
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = "sh -c 'echo hi'" } }]
[[scenarios.turns]]
text = "done"
"""


async def test_apr_08_a_permission_answers_for_its_command_and_no_wrapper_of_it(stack: Stack) -> None:
    def allow(tx: Tx) -> str:
        draft = standing.draft(tx, ("echo", "hi"), stack.admin.id, stack.admin.id, 3600)
        return standing.add(tx, stack.tenant, draft).id

    grant = await stack.writer.commit(allow)
    run = await stack.create(
        "go",
        target={"kind": "workspace", "name": "dev"},
        capabilities=[{"kind": "tool", "name": "bash", "approval": "ask"}],
    )
    asked = await stack.checkpoint(run)
    assert asked.arguments == {"command": "sh -c 'echo hi'"}
    await stack.decide(asked, "deny")
    told = await stack.ended(run)
    assert len(of_type(told, "checkpoint.opened")) == 1
    gated = await stack.read(lambda c: [one for one in rulings(c, {"id": run}) if one.execution])
    assert [(one.rule == grant, one.answer) for one in gated] == [(True, "allow"), (False, "ask")]
