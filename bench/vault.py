"""`vault`: how fast a vault of 5,000 notes is searched, and how much of it is read again when one changes."""

import asyncio
import random
import tempfile
import time
from pathlib import Path

from bench.figures import Goal, Row, alone, percentile
from bench.scale import Scale
from protocol.vault import VaultEntry
from providers.vaults.vault import IndexedVault, folder_vault

NOTES = 5_000
WORDS = 20_000
SEARCHES = 200


async def measure(scale: Scale) -> list[Row]:
    first: list[float] = []
    again: list[float] = []
    searched: list[float] = []
    for number in range(scale.repeats):
        with tempfile.TemporaryDirectory(prefix="rhone-bench-") as folder:
            root, chance = Path(folder, "vault"), random.Random(number)
            words = _write(root, chance)
            first.append(await _timed(_vault(root), words[0]))
            (root / "topic-0" / "note-0.md").write_text("changed\n")
            vault = _vault(root)
            again.append(await _timed(vault, words[0]))
            took: list[float] = []
            for _ in range(scale.of(SEARCHES, 50)):
                took.append(await _timed(vault, " ".join(chance.choices(words[:5_000], k=2))))
                await asyncio.sleep(0.01)
            searched.append(percentile(took, 95))
    goal = (Goal("<=", 50.0, of="ours"),)
    return [
        Row(f"search of {NOTES:,} notes, p95", "ms", tuple(map(alone, searched)), goal),
        Row("first index of all notes, then a search", "ms", tuple(map(alone, first))),
        Row("one changed note found and indexed, then a search", "ms", tuple(map(alone, again))),
    ]


def _vault(root: Path) -> IndexedVault:
    """As a process that has just begun opens it."""
    return folder_vault(VaultEntry(kind="obsidian", path="vault"), root, root.parent / "index.db")


async def _timed(vault: IndexedVault, query: str) -> float:
    began = time.perf_counter()
    await vault.search(query, 10)
    return 1000 * (time.perf_counter() - began)


def _write(root: Path, chance: random.Random) -> list[str]:
    """Notes of about 200 words, a few of which are frequent, with links and tags; the words, those first."""
    words = [f"w{number:05}" for number in range(WORDS)]
    weights = [1 / (number + 10) for number in range(WORDS)]
    for number in range(NOTES):
        said = " ".join(chance.choices(words, weights, k=200))
        link = f"[[note-{chance.randrange(NOTES)}]]"
        path = root / f"topic-{number % 50}" / f"note-{number}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"---\ntags: [topic-{number % 50}]\n---\n# Note {number}\n{link}\n{said}\n")
    return words
