"""A script: the turns that a scripted model answers with. The format is described in docs/scripted.md."""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, ValidationError

from protocol.errors import InvalidRequest
from protocol.model import FinishReason
from protocol.noun import JSONObject, Noun

Count = Annotated[int, Field(ge=0)]
Milliseconds = Annotated[int, Field(ge=0, le=86_400_000)]
FaultName = Annotated[str, Field(pattern=r"^(cut|hang|garbage|error:[45][0-9]{2})$")]
ScriptedFinish = Literal["stop", "tool_calls", "length", "content_filter", "refusal"]


class _Table(Noun):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ScriptedCall(_Table):
    """A tool call; `arguments` as a string is sent as it stands, well-formed or not."""

    name: Annotated[str, Field(min_length=1)]
    id: Annotated[str, Field(min_length=1)] | None = None
    arguments: JSONObject | str = {}


class ScriptedUsage(_Table):
    input: Count = 0
    cache_read: Count = 0
    cache_write: Count = 0
    output: Count = 0
    reasoning: Count = 0


class Fault(_Table):
    """What goes wrong after so many deltas; without `attempt`, every time."""

    fault: FaultName
    attempt: Annotated[int, Field(ge=1)] | None = None
    after_deltas: Count = 0
    retry_after_ms: Milliseconds | None = None


class Turn(_Table):
    """One answer: thinking, then text, then tool calls."""

    thinking: str = ""
    text: str = ""
    tool_calls: list[ScriptedCall] = []
    finish: ScriptedFinish | None = None
    usage: ScriptedUsage | None = None
    delta_chars: Annotated[int, Field(ge=1)] | None = None
    delta_delay_ms: Milliseconds | None = None
    first_delay_ms: Milliseconds | None = None
    repeat: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    faults: list[Fault] = []

    def fault_of(self, attempt: int) -> Fault | None:
        return next((fault for fault in self.faults if fault.attempt in (None, attempt)), None)

    @property
    def reason(self) -> FinishReason:
        return self.finish or ("tool_calls" if self.tool_calls else "stop")


class Scenario(_Table):
    """A conversation: who it is for, and its turns in order. Its delays stand for turns that name none."""

    models: list[str] = []
    when: str = ""
    turns: Annotated[list[Turn], Field(min_length=1)]
    loop: bool = False
    delta_chars: Annotated[int, Field(ge=1)] = 16
    delta_delay_ms: Milliseconds = 0
    first_delay_ms: Milliseconds = 0

    def fits(self, model: str, first_input: str) -> bool:
        return (not self.models or model in self.models) and bool(re.search(self.when, first_input))

    def turn(self, index: int) -> Turn | None:
        """The turn for a request that holds `index` assistant turns; None past the last one."""
        total = sum(turn.repeat for turn in self.turns)
        left = index % total if self.loop else index
        for turn in self.turns:
            if left < turn.repeat:
                return turn
            left -= turn.repeat
        return None


class Script(_Table):
    """The first scenario that fits the model and the first input plays."""

    scenarios: Annotated[list[Scenario], Field(min_length=1)]

    def scenario(self, model: str, first_input: str) -> Scenario | None:
        return next((one for one in self.scenarios if one.fits(model, first_input)), None)


def read_script(path: Path) -> Script:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidRequest("provider.script_unreadable", f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        message = f"{path}: not UTF-8 at byte {error.start}"
        raise InvalidRequest("provider.script_invalid", message) from error
    return parse_script(text, name=str(path))


def parse_script(text: str, *, name: str = "script") -> Script:
    """A script out of TOML; a refusal says the file and the place in it."""
    try:
        script = Script.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InvalidRequest("provider.script_invalid", f"{name}: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place, message = _place(first["loc"]), first["msg"]
        if first["type"] == "extra_forbidden":
            message = "this key is not known"
        raise InvalidRequest("provider.script_invalid", f"{name}: {place}: {message}", param=place) from error
    for index, scenario in enumerate(script.scenarios):
        try:
            re.compile(scenario.when)
        except re.error as error:
            place = f"scenarios[{index}].when"
            message = f"{name}: {place}: not a regular expression: {error}"
            raise InvalidRequest("provider.script_invalid", message, param=place) from error
    return script


def _place(location: tuple[int | str, ...]) -> str:
    out = ""
    for part in location:
        if isinstance(part, int):
            out += f"[{part}]"
        else:
            out += f".{part}" if out else part
    return out or "file"
