"""How long a bench takes: the whole measure, or a quick look while working on it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Three repeats of everything, or one of a part."""

    quick: bool

    @property
    def repeats(self) -> int:
        return 1 if self.quick else 3

    def of(self, whole: int, quick: int) -> int:
        return quick if self.quick else whole
