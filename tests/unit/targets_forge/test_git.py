"""The git runner: what a child process may use, and what of it is told."""

from pathlib import Path

import pytest

from targets.forge.git import Git, GitFailed, GitLimits, GitTimedOut, GitTooLarge, scrubbed
from tests.conformance.forge_world import until
from tests.unit.targets_forge.served import command_lines


async def test_it_sees_only_what_it_is_handed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_WORKER", "s3cret")
    run = Git(tmp_path / "home")
    seen = (await run.run("-c", "alias.env=!env", "env")).decode()
    assert "s3cret" not in seen
    assert f"HOME={tmp_path / 'home'}\n" in seen
    configured = (await run.run("config", "--show-origin", "--list")).decode().splitlines()
    assert {line.split("\t")[0] for line in configured} == {"command line:"}


async def test_what_takes_too_long_is_killed_with_all_its_children(tmp_path: Path) -> None:
    run = Git(tmp_path / "home", GitLimits(seconds=0.3))
    with pytest.raises(GitTimedOut):
        await run.run("-c", "alias.wait=!sleep 4711 & sleep 4712", "wait")
    until(lambda: not any("sleep\0471" in command for command in command_lines()))


async def test_endless_output_is_cut_off(tmp_path: Path) -> None:
    run = Git(tmp_path / "home", GitLimits(output=100_000, seconds=30))
    with pytest.raises(GitTooLarge):
        await run.run("-c", "alias.much=!yes", "much")


async def test_a_file_larger_than_its_limit_is_not_written(tmp_path: Path) -> None:
    run = Git(tmp_path / "home", GitLimits(file=100_000))
    repository = tmp_path / "objects.git"
    await run.run("init", "-q", "--bare", "--template=", str(repository))
    await run.run("hash-object", "-w", "--stdin", directory=repository, stdin=b"small")
    with pytest.raises(GitTooLarge):
        noise = b"".join(bytes([number * number % 251, number % 256]) for number in range(200_000))
        await run.run("-c", "core.compression=0", *_HASH, directory=repository, stdin=noise)


_HASH = ("hash-object", "-w", "--stdin")


async def test_a_failure_tells_what_git_said(tmp_path: Path) -> None:
    with pytest.raises(GitFailed) as caught:
        await Git(tmp_path / "home").run("rev-parse", "--verify", "nothing")
    assert caught.value.exit_code == 128
    assert "fatal:" in caught.value.text


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("fatal: http://me:tok@forge/x", "fatal: http://[redacted]@forge/x"),
        ("remote: your tok is bad\n", "remote: your [redacted] is bad"),
        ("fatal: https://forge/x", "fatal: https://forge/x"),
    ],
)
def test_secrets_are_taken_out_of_what_git_says(said: str, told: str) -> None:
    assert scrubbed(said, ("tok",)) == told
