"""How a push is shown: one pinned rendering of base..new, the same on every worker."""

from pathlib import Path

from targets.forge.git import Git

_COMMITS_SHOWN = 50
_SUBJECT = 200

# The names and modes of everything come first, so that a cut diff still names every path. Blobs are named in
# full, which pins the content of binary files too; renames are shown as what they are, a removal and an
# addition. Attributes cannot turn a text into "binary": in a bare repository git reads none of the tree's.
_DIFF = (
    "diff-tree",
    "-r",
    "--no-commit-id",
    "--numstat",
    "--summary",
    "--patch",
    "--full-index",
    "--unified=3",
    "--diff-algorithm=myers",
    "--no-indent-heuristic",
    "--no-renames",
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "--no-relative",
    "--src-prefix=a/",
    "--dst-prefix=b/",
    "--submodule=short",
    "--ignore-submodules=none",
)


async def diff_of(git: Git, repository: Path, base: str, new: str) -> bytes:
    return await git.run(*_DIFF, base, new, "--", directory=repository)


async def commits_of(git: Git, repository: Path, base: str, new: str) -> tuple[str, ...]:
    """The newest commits of the range, one line each, as the box wrote them."""
    flags = (
        f"--max-count={_COMMITS_SHOWN}",
        "--no-decorate",
        "--no-color",
        "--no-mailmap",
        "--encoding=UTF-8",
    )
    output = await git.run("log", *flags, "--format=%h %s", new, f"^{base}", "--", directory=repository)
    lines = output.decode(errors="replace").split("\n")
    return tuple(line[:_SUBJECT] for line in lines if line)
