"""Where set-up keeps things, and how the look-up of the Temporal server chooses."""

import os
import subprocess
import sys
from pathlib import Path

from cli.setup.paths import Cache, cache_of
from cli.setup.settings import CHECKOUT

ASK = "import sys; from pathlib import Path; from cli.setup.paths import temporal_binary; "
ASK += "print(temporal_binary(Path(sys.argv[1], 'cache')))"


def chosen(data: Path, **environment: str) -> str:
    """What a process with this environment would start."""
    inherited = {name: value for name, value in os.environ.items() if name != "RHONE_TEMPORAL_BIN"}
    argv = [sys.executable, "-c", ASK, str(data)]
    done = subprocess.run(
        argv, env=inherited | environment, cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_every_binary_carries_its_version_in_its_name() -> None:
    cache = Cache(Path("/data/cache"))
    assert [cache.temporal, cache.gitea, cache.gitea_static, cache.go_environment] == [
        Path("/data/cache/bin/temporal-1.5.1"),
        Path("/data/cache/bin/gitea-1.25.5"),
        Path("/data/cache/gitea-static-1.25.5"),
        Path("/data/cache/go/1.27.3"),
    ]


def test_the_named_server_comes_before_the_one_on_path_and_that_before_the_cached_one(tmp_path: Path) -> None:
    on_path = executable(tmp_path / "programs" / "temporal")
    named = executable(tmp_path / "elsewhere" / "server")
    empty = str(tmp_path / "empty")
    assert chosen(tmp_path, PATH=empty) == "None"
    cached = executable(cache_of(tmp_path).temporal)
    assert chosen(tmp_path, PATH=empty) == str(cached)
    assert chosen(tmp_path, PATH=str(on_path.parent)) == str(on_path)
    assert chosen(tmp_path, PATH=str(on_path.parent), RHONE_TEMPORAL_BIN=str(named)) == str(named)


def test_a_forge_without_its_static_files_is_not_there(tmp_path: Path) -> None:
    cache = cache_of(tmp_path)
    executable(cache.gitea)
    assert not cache.has_gitea
    cache.gitea_static.mkdir()
    assert cache.has_gitea
