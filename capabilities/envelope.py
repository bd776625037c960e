"""The execution envelope: the exact act that an approval is bound to, and its digest."""

from collections.abc import Iterable

from protocol.checkpoint import Envelope, PushFacts
from protocol.ids import RunId, SnapshotId, ToolExecutionId
from protocol.noun import JSONObject, Noun
from protocol.tool import ToolDefinition


class Act(Noun):
    """What *prepare* found out about a call: the names are resolved, the files are digested."""

    run_id: RunId
    snapshot_id: SnapshotId
    policy_digest: str
    definition: ToolDefinition
    definition_digest: str
    tool_execution_id: ToolExecutionId
    arguments: JSONObject
    target: str | None = None
    cwd: str | None = None
    environment: tuple[str, ...] = ()
    files: dict[str, str] = {}
    push: PushFacts | None = None


def envelope_of(act: Act) -> Envelope:
    return Envelope(
        run_id=act.run_id,
        snapshot_id=act.snapshot_id,
        policy_digest=act.policy_digest,
        tool=act.definition.name,
        definition_digest=act.definition_digest,
        tool_execution_id=act.tool_execution_id,
        arguments=binding(act.definition, act.arguments),
        target=act.target,
        cwd=act.cwd,
        environment=_sorted(act.environment),
        files=act.files,
        push=act.push,
    )


def binding(definition: ToolDefinition, arguments: JSONObject) -> JSONObject:
    """The arguments that make the act: all but those that the definition lists as advisory."""
    return {name: value for name, value in arguments.items() if name not in definition.advisory}


def advisory(definition: ToolDefinition, arguments: JSONObject) -> JSONObject:
    """The arguments that only describe: shown beside the act, covered by no digest."""
    return {name: value for name, value in arguments.items() if name in definition.advisory}


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))
