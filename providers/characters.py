"""Text that a wire cut inside a character: halves of a surrogate pair are joined before anybody sees them."""

import re

from protocol.noun import JSON

_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_LONE = re.compile("[\ud800-\udfff]")


def whole(value: JSON) -> JSON:
    """The value with its halves of characters joined or, where they stand alone, replaced."""
    if isinstance(value, str):
        joiner = Joiner()
        return joiner.feed(value) + joiner.end()
    if isinstance(value, list):
        return [whole(item) for item in value]
    if isinstance(value, dict):
        return {str(whole(key)): whole(item) for key, item in value.items()}
    return value


class Joiner:
    """Holds back a trailing high surrogate until its other half comes; `damaged` counts lone ones."""

    def __init__(self) -> None:
        self.damaged = 0
        self._held = ""

    def feed(self, text: str) -> str:
        if not self._held and (not text or text.isascii()):
            return text
        text = self._held + text
        self._held = ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            self._held, text = text[-1], text[:-1]
        return self._whole(text)

    def end(self) -> str:
        held, self._held = self._held, ""
        return self._whole(held)

    def _whole(self, text: str) -> str:
        if _LONE.search(text) is None:
            return text
        text = _PAIR.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)
        text, lone = _LONE.subn("\ufffd", text)
        self.damaged += lone
        return text
