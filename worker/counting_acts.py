"""Acts on a fake outside world that counts: one tool per effect class, for trying policies and crashes."""

from targets.memory import CountingTools
from worker.act import Doing, Prepared, Result


class Counting:
    """`count_*`: the world's own file tells how often each execution really happened."""

    def __init__(self, tools: CountingTools) -> None:
        self._tools = tools

    async def prepare(self, doing: Doing) -> Prepared:
        return Prepared()

    async def perform(self, doing: Doing, prepared: Prepared, attempt: int) -> Result:
        count = await self._tools.count(doing.execution.effect, doing.execution.id, doing.key)
        return Result(text=f"counted {count}", effect={"counted": count})

    async def halt(self, doing: Doing) -> None:
        """Counting is over at once."""

    async def probe(self, doing: Doing, prepared: Prepared) -> Result | None:
        return None
