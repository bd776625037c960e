"""Names of tools as this wire takes them: they begin with a letter or an underscore."""

from collections.abc import Iterable

from providers.aliases import alias_of


def wire_name(name: str) -> str:
    alias = alias_of(name)
    return alias if alias[:1].isalpha() or alias[:1] == "_" else f"_{alias[:63]}"


class Names:
    """What a tool is called here, by what it is called there."""

    def __init__(self, names: Iterable[str]) -> None:
        self._own = {wire_name(name): name for name in names}

    def restore(self, name: str) -> str:
        """One that nobody offered comes back as the model wrote it."""
        return self._own.get(name, name)
