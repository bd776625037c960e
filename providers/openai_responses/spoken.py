"""What a block was told in pieces, against what its end says it was."""

from dataclasses import dataclass, field

from protocol.model import Notice
from providers.characters import Joiner, whole


@dataclass(frozen=True)
class Settled:
    """A block's value, the piece of it that is still to be told, and what was not as it should be."""

    value: str
    rest: str
    notices: tuple[Notice, ...]


@dataclass
class Spoken:
    """The pieces of one block; `final` is the wire's own whole text, from wherever it came last."""

    final: str = ""
    _told: list[str] = field(default_factory=list[str])
    _joiner: Joiner = field(default_factory=Joiner)

    def __bool__(self) -> bool:
        return bool(self._told)

    @property
    def told(self) -> str:
        return "".join(self._told)

    def feed(self, piece: str) -> str:
        text = self._joiner.feed(piece)
        if text:
            self._told.append(text)
        return text

    def settle(self) -> Settled:
        """The end: an empty final text says nothing where pieces came."""
        held, told = self._joiner.end(), self.told
        final = str(whole(self.final)) if self.final else told + held
        notices: list[Notice] = []
        if self._joiner.damaged:
            notices.append(Notice(code="damaged_text", detail="a lone surrogate was replaced"))
        if final.startswith(told):
            return Settled(final, final[len(told) :], tuple(notices))
        notices.append(Notice(code="delta_mismatch", detail="the value at the end was taken, not its pieces"))
        return Settled(final, "", tuple(notices))
