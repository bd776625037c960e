"""Shows a run while it happens: live where a person watches, plain lines where a program or a log does."""

from collections import deque
from collections.abc import Iterable
from typing import cast

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from cli.client import Client
from cli.transcript import Line, Style, Transcript
from protocol.noun import JSONObject

_STYLES: dict[Style, str] = {
    "plain": "",
    "quiet": "dim",
    "good": "green",
    "bad": "bold red",
    "loud": "bold",
    "said": "cyan",
}
_OPEN_LINES = 12


class Screen:
    """Final lines scroll by; text that is still growing stands below them until it is final."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)

    def follow(self, client: Client, run_id: str, *, after: int = 0) -> JSONObject:
        """Show the run from an event on to its end; returns the terminal event."""
        return deque(self.shown(client, client.events(run_id, after=after)), maxlen=1)[0]

    def shown(self, client: Client, events: Iterable[JSONObject]) -> Iterable[JSONObject]:
        """The events, each after it was shown."""
        transcript = Transcript(lambda checkpoint_id: view(client, checkpoint_id))
        if not self.console.is_terminal:
            for event in events:
                self.print(transcript.take(event))
                yield event
            return
        with Live(console=self.console, transient=True, refresh_per_second=12) as live:
            for event in events:
                final = transcript.take(event)
                live.update(Group(*(_text(line) for line in transcript.open()[-_OPEN_LINES:])))
                self.print(final)
                yield event

    def print(self, lines: Iterable[Line]) -> None:
        for line in lines:
            self.console.print(_text(line))


def _text(line: Line) -> Text:
    style = _STYLES[line.style]
    if line.style == "plain":
        # The diff of an approval, as people are used to see it.
        shown = line.text.lstrip().removeprefix("| ")
        style = {"+": "green", "-": "red"}.get(shown[:1], "") if line.text.startswith("    ") else ""
    return Text(line.text, style=style)


def view(client: Client, checkpoint_id: str) -> str:
    return cast(str, client.get(f"/v1/checkpoints/{checkpoint_id}")["rendered"])
