"""What comes back to us with a secret of ours in it: nobody is granted it, and the engine is not told."""

from collections.abc import Callable

import pytest
from temporalio.api.failure.v1 import Failure
from temporalio.contrib.pydantic import pydantic_data_converter

from capabilities.catalogue import Catalogue
from capabilities.offer import Missing, Offer, Offered
from protocol.capability import Capability, Grant, McpCapability
from protocol.mask import MASK, Mask
from protocol.tool import ToolDefinition, ToolSource
from records.run_record import RunRecord
from worker.act import Act
from worker.faults import discreet
from worker.known_runs import KnownRun
from worker.sources import Sources

SECRET = "s3cret/0123456789"
ASKED = McpCapability(kind="mcp", server="s", tools=("say",))


class Fixed:
    """A source that offers one thing, whatever it is asked for."""

    kinds = frozenset({"mcp"})
    serves: ToolSource = "mcp"

    def __init__(self, offered: Offer | Missing) -> None:
        self._offered = offered

    async def offers(self, record: RunRecord, capability: Capability) -> Offered:
        return (self._offered,)

    async def digest_now(self, known: KnownRun, grant: Grant) -> str | None:
        raise NotImplementedError

    def act(self, known: KnownRun, grant: Grant) -> Act:
        raise NotImplementedError


def offer(description: str) -> Offer:
    definition = ToolDefinition(
        name="s__say", description=description, input_schema={}, source="mcp", effect="unknown"
    )
    return Offer(
        kind="mcp_tool", name="s__say", source_identity="mcp:s", definition=definition, digest="sha256:0"
    )


async def offered(one: Offer | Missing, record: RunRecord) -> Offered:
    stock = await Sources(Catalogue(), [Fixed(one)], Mask(SECRET).out_of).stock(record, [ASKED])
    return stock.offers(ASKED)


@pytest.fixture
def record() -> RunRecord:
    return RunRecord.model_construct()


async def test_a_definition_that_tells_a_secret_is_not_offered(record: RunRecord) -> None:
    assert await offered(offer("harmless"), record) == (offer("harmless"),)
    for told in (SECRET, "s3cret%2F0123456789", SECRET.encode().hex()):
        [missing] = await offered(offer(f"Bearer {told}"), record)
        assert isinstance(missing, Missing)
        assert (missing.name, missing.rule) == ("s__say", "secret.echoed")


async def test_the_reason_of_a_denial_tells_none(record: RunRecord) -> None:
    one = Missing(name="s__say", rule="mcp.unreachable", reason=f"401: {SECRET}")
    assert await offered(one, record) == (one.model_copy(update={"reason": f"401: {MASK}"}),)


def test_a_failure_is_told_to_the_engine_without_it() -> None:
    def failing() -> None:
        try:
            raise KeyError(SECRET)
        except KeyError as inner:
            raise RuntimeError(f"Bearer {SECRET}") from inner

    assert told(failing, str) != told(failing, Mask(SECRET).out_of)
    assert SECRET not in told(failing, Mask(SECRET).out_of)
    assert told(failing, Mask(SECRET).out_of).count(MASK) == 2


def told(act: Callable[[], None], redact: Callable[[str], str]) -> str:
    failure = Failure()
    with pytest.raises(RuntimeError) as caught:
        act()
    converter = discreet(redact)()
    converter.to_failure(caught.value, pydantic_data_converter.payload_converter, failure)
    return str(failure)
