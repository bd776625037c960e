"""The forge that set-up builds, started for real."""

import subprocess
from pathlib import Path

import pytest

from cli.gitea import Gitea, GiteaFailed
from cli.setup.settings import SetupSettings

CACHE = SetupSettings().data / "cache"


def git(*arguments: str, cwd: Path) -> str:
    who = ["-c", "user.name=someone", "-c", "user.email=someone@example.test"]
    done = subprocess.run(["git", *who, *arguments], cwd=cwd, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.forge
def test_a_forge_takes_a_push_and_still_has_it_after_a_restart(tmp_path: Path) -> None:
    home = tmp_path / "forge"
    clone = tmp_path / "clone"
    with Gitea.start(home, CACHE) as forge:
        url = forge.create_repository("project", {"README.md": "# Project\n", "src/main.py": "print('é')\n"})
        assert url == f"{forge.url}/{forge.admin_user}/project.git"
        git("clone", "-q", url, str(clone), cwd=tmp_path)
        assert (clone / "src/main.py").read_text() == "print('é')\n"
        assert git("rev-parse", "main", cwd=clone) == forge.ref(forge.admin_user, "project", "main")
        git("checkout", "-q", "-b", "topic/one", cwd=clone)
        git("commit", "-q", "--allow-empty", "-m", "change", cwd=clone)
        with_token = url.replace("://", f"://{forge.admin_user}:{forge.token}@")
        git("push", "-q", with_token, "topic/one", cwd=clone)
        assert forge.ref(forge.admin_user, "project", "nowhere") is None
        token = forge.token
    with Gitea.start(home, CACHE) as forge:
        assert forge.ref(forge.admin_user, "project", "topic/one") == git("rev-parse", "HEAD", cwd=clone)
        assert forge.pull_requests(forge.admin_user, "project") == []
        assert forge.token == token


@pytest.mark.forge
def test_a_refusal_of_the_forge_says_what_was_asked(tmp_path: Path) -> None:
    with Gitea.start(tmp_path / "forge", CACHE) as forge:
        forge.create_repository("twice", {"a": "1"})
        with pytest.raises(GiteaFailed, match=r"POST /api/v1/user/repos: 409"):
            forge.create_repository("twice", {"a": "1"})


def test_a_forge_that_was_never_built_points_to_set_up(tmp_path: Path) -> None:
    with pytest.raises(GiteaFailed, match="`rhone setup` builds it"):
        Gitea.start(tmp_path / "forge", tmp_path / "cache")
