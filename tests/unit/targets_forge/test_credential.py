"""SEC-06: the token goes to the forge it belongs to, and nowhere else: not by redirects, submodules,
alternates, helpers or configuration, and not into arguments, files or messages."""

import asyncio
import base64
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.config import ForgeEntry
from protocol.errors import Fault, Forbidden, InvalidRequest, RateLimited, Unavailable
from protocol.secret import SecretRef
from targets.forge.act import perform
from targets.forge.forges import Forge, Forges
from targets.forge.git import Remote
from tests.conformance.forge_world import BRANCH, git, prepared_change
from tests.unit.targets_forge.conftest import DirectoryWorld
from tests.unit.targets_forge.served import TOKEN, Served, command_lines, serving

pytestmark = pytest.mark.slow

BASIC = base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()


@pytest.fixture
def served(world: DirectoryWorld) -> Iterator[Served]:
    git(world.origin, "config", "http.receivepack", "true")
    with serving(world.root / "forge") as server:
        yield server


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as server:
        yield server


def worker(served: Served, data: Path) -> Forge:
    entry = ForgeEntry(kind="gitea", url=served.url, tokenRef=SecretRef(kind="env", name="X"), owner="acme")
    return Forges({"forge": entry}, lambda ref: TOKEN, data).resolve("forge/demo")


async def fault_of_fetch(forge: Forge) -> Fault:
    with pytest.raises(Fault) as caught:
        await forge.mirror.fetch("main")
    assert TOKEN not in repr(caught.value.body())
    assert BASIC not in repr(caught.value.body())
    return caught.value


async def test_it_proves_itself_in_a_header_and_nowhere_else(served: Served, tmp_path: Path) -> None:
    data = tmp_path / "data"
    forge = worker(served, data)
    push, bundle, _ = await prepared_change(forge, tmp_path / "run")
    await perform(forge, push, bundle)
    assert await forge.mirror.branch_head(BRANCH) == push.new
    assert {authorization for _, authorization in served.requests} == {f"Basic {BASIC}"}
    assert not served.token_in_arguments
    kept = [path.read_bytes() for path in data.rglob("*") if path.is_file()]
    assert kept
    assert not any(TOKEN.encode() in content or BASIC.encode() in content for content in kept)


def test_the_header_is_bound_to_the_forge_s_address() -> None:
    settings, hidden = Remote("https://forge.example:8443/a/b.git", lambda: TOKEN).config()
    assert settings == {
        "protocol.https.allow": "always",
        "http.https://forge.example:8443/.extraHeader": f"Authorization: Basic {BASIC}",
    }
    assert hidden == (TOKEN, BASIC)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(
    served: Served, elsewhere: Served, tmp_path: Path, status: int
) -> None:
    forge = worker(served, tmp_path / "data")
    push, bundle, _ = await prepared_change(forge, tmp_path / "run")
    served.status, served.location = status, elsewhere.url
    fault = await fault_of_fetch(forge)
    assert (fault.code, fault.param, fault.retryable) == ("git.clone_failed", "target.repo.remote", False)
    assert "redirect" in fault.message
    for ask in (forge.quarantine.redeem(push, bundle), forge.api.repository()):
        with pytest.raises(InvalidRequest, match="redirect"):
            await ask
    assert elsewhere.requests == []


async def test_a_server_without_git_of_its_own_cannot_send_us_elsewhere(
    served: Served, elsewhere: Served, world: DirectoryWorld, tmp_path: Path
) -> None:
    """The oldest protocol fetches files, and lets a server name others that have the missing ones."""
    dumb = world.root / "forge" / "acme" / "dumb.git"
    commit = git(world.origin, "rev-parse", "main")
    (dumb / "info").mkdir(parents=True)
    (dumb / "objects" / "info").mkdir(parents=True)
    (dumb / "info" / "refs").write_text(f"{commit}\trefs/heads/main\n")
    (dumb / "HEAD").write_text("ref: refs/heads/main\n")
    for name in ("http-alternates", "alternates"):
        (dumb / "objects" / "info" / name).write_text(f"{elsewhere.url}/acme/demo.git/objects\n")
    entry = ForgeEntry(kind="gitea", url=served.url, tokenRef=SecretRef(kind="env", name="X"))
    served.only_files = True
    forge = Forges({"forge": entry}, lambda ref: TOKEN, tmp_path / "data").resolve("forge/acme/dumb")
    fault = await fault_of_fetch(forge)
    assert fault.code == "git.clone_failed"
    assert any("alternates" in path for path in served.paths())
    assert elsewhere.requests == []


async def test_submodules_are_not_visited(
    served: Served, elsewhere: Served, world: DirectoryWorld, tmp_path: Path
) -> None:
    clone = world.colleague()
    module = f'[submodule "m"]\n\tpath = m\n\turl = {elsewhere.url}/acme/demo.git\n'
    clone.commit({".gitmodules": module})
    clone.git("update-index", "--add", "--cacheinfo", f"160000,{'12' * 20},m")
    clone.git("commit", "-q", "-m", "Module")
    clone.git("push", "-q", "origin", "main")
    forge = worker(served, tmp_path / "data")
    push, bundle, _ = await prepared_change(forge, tmp_path / "run")
    await perform(forge, push, bundle)
    assert elsewhere.requests == []


async def test_the_configuration_of_the_machine_has_no_say(
    served: Served, elsewhere: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge = worker(served, tmp_path / "before")
    push, bundle, _ = await prepared_change(forge, tmp_path / "run")
    home = tmp_path / "home"
    home.mkdir()
    trap = tmp_path / "executed"
    helper = f"!touch {trap};"
    included = home / "included"
    included.write_text(f'[url "{elsewhere.url}/"]\n\tinsteadOf = {served.url}/\n')
    for hook in ("reference-transaction", "pre-push", "post-index-change", "push-to-checkout"):
        (home / "template" / "hooks" / hook).parent.mkdir(parents=True, exist_ok=True)
        (home / "template" / "hooks" / hook).write_text(f"#!/bin/sh\ntouch {trap}\n")
        (home / "template" / "hooks" / hook).chmod(0o755)
    (home / ".gitconfig").write_text(
        f'[includeIf "gitdir:/**"]\n\tpath = {included}\n[include]\n\tpath = {included}\n'
        f"[credential]\n\thelper = {helper}\n[core]\n\tfsmonitor = {helper}\n\taskPass = {helper}\n"
        f"\thooksPath = {home}/template/hooks\n[init]\n\ttemplateDir = {home}/template\n"
    )
    (home / ".netrc").write_text("machine 127.0.0.1 login other password other\n")
    (home / ".netrc").chmod(0o600)
    for name, value in {
        "HOME": str(home),
        "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
        "GIT_CONFIG_PARAMETERS": f"'credential.helper'='{helper}'",
        "GIT_ASKPASS": f"touch {trap}",
        "GIT_SSH_COMMAND": f"touch {trap}",
        "GIT_PROXY_COMMAND": f"touch {trap}",
        "http_proxy": elsewhere.url,
        "HTTP_PROXY": elsewhere.url,
        "all_proxy": elsewhere.url,
        "GIT_TRACE_CURL": str(trap),
        "GIT_TEMPLATE_DIR": str(home / "template"),
        "GIT_DIR": str(home),
    }.items():
        monkeypatch.setenv(name, value)
    other = worker(served, tmp_path / "data")
    await perform(other, push, bundle)
    assert await other.mirror.fetch("main") == push.base
    served.status = 401
    assert isinstance(await fault_of_fetch(forge), Forbidden)
    with pytest.raises(Forbidden):
        await forge.api.repository()
    assert elsewhere.requests == []
    assert not trap.exists()


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (401, Forbidden, "git.auth_failed"),
        (403, Forbidden, "git.auth_failed"),
        (404, Fault, "git.repository_not_found"),
        (413, InvalidRequest, "git.clone_failed"),
        (429, RateLimited, "git.rate_limited"),
        (500, Unavailable, "git.clone_failed"),
        (503, Unavailable, "git.clone_failed"),
    ],
)
async def test_the_forge_s_no_is_told_apart_from_its_silence(
    served: Served, tmp_path: Path, status: int, kind: type[Fault], code: str
) -> None:
    served.status = status
    fault = await fault_of_fetch(worker(served, tmp_path / "data"))
    assert isinstance(fault, kind)
    assert (fault.code, fault.param) == (code, "target.repo.remote")
    assert fault.retryable == issubclass(kind, Unavailable)


async def test_a_forge_that_is_away_may_come_back(tmp_path: Path) -> None:
    with serving(tmp_path) as gone:
        pass
    forge = worker(gone, tmp_path / "data")
    assert (await fault_of_fetch(forge)).retryable
    with pytest.raises(Unavailable):
        await forge.api.repository()


async def test_a_fetch_that_is_given_up_leaves_no_git_behind(served: Served, tmp_path: Path) -> None:
    served.hang.clear()
    fetching = asyncio.create_task(worker(served, tmp_path / "data").mirror.fetch("main"))
    await asyncio.to_thread(served.held.wait, 30)
    assert any(served.url in command for command in command_lines())
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    assert not any(served.url in command for command in command_lines())


async def test_without_an_allowance_files_and_helpers_are_no_remotes(
    world: DirectoryWorld, tmp_path: Path
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        world.forges(allow_file=False).resolve("forge/demo")
    assert caught.value.code == "git.forge_unknown"
    for url in (f"file://{world.origin}", "ext::sh -c id", "ssh://x/y"):
        with pytest.raises(ValueError, match="url"):
            ForgeEntry(kind="gitea", url=url, tokenRef=SecretRef(kind="env", name="X"))


def test_the_stand_in_asks_for_a_token(served: Served) -> None:
    command = ["git", "ls-remote", f"{served.url}/acme/demo.git"]
    environment = {"PATH": "/usr/bin:/bin", "GIT_TERMINAL_PROMPT": "0", "HOME": "/nonexistent"}
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode != 0
