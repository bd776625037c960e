"""A worker that dies in the middle of an act, for real, and another one that takes the act up."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from protocol.forge import Performed, PreparedPullRequest
from targets.forge.act import perform, probe_act
from tests.conformance.forge_world import prepared_change, until
from tests.unit.targets_forge.conftest import DirectoryWorld

pytestmark = pytest.mark.slow

_WORKER = """
import asyncio, dataclasses, os, signal, sys
from pathlib import Path
from protocol.config import ForgeEntry
from protocol.forge import PreparedPullRequest
from protocol.secret import SecretRef
from targets.forge.act import perform
from targets.forge.forges import Forges

root, data, act, bundle, dies = sys.argv[1:]

class Deadly:
    def __init__(self, api): self._api = api
    async def find_pull_request(self, *asked): return await self._api.find_pull_request(*asked)
    async def open_pull_request(self, *asked):
        if dies == "after the request": await self._api.open_pull_request(*asked)
        os.kill(os.getpid(), signal.SIGKILL)

entry = ForgeEntry(kind="directory", url=f"file://{root}", tokenRef=SecretRef(kind="env", name="X"))
forge = Forges({"forge": entry}, lambda ref: "", Path(data), allow_file=True).resolve("forge/acme/demo")
forge = dataclasses.replace(forge, api=Deadly(forge.api))
prepared = PreparedPullRequest.model_validate_json(Path(act).read_text())
asyncio.run(perform(forge, prepared, Path(bundle).read_bytes()))
"""


@pytest.mark.parametrize("dies", ["before the request", "after the request", "in the push"])
async def test_the_act_is_on_the_forge_once(world: DirectoryWorld, tmp_path: Path, dies: str) -> None:
    push, bundle, _ = await prepared_change(world.worker(), tmp_path / "run")
    act = PreparedPullRequest(push=push, base_branch="main", title="t", body="b")
    (tmp_path / "act").write_text(act.model_dump_json())
    (tmp_path / "bundle").write_bytes(bundle)
    reached, released = tmp_path / "reached", tmp_path / "released"
    hook = world.origin / "hooks" / "pre-receive"
    hook.parent.mkdir()
    if dies == "in the push":
        hook.write_text(f"#!/bin/sh\ntouch {reached}\nwhile ! test -e {released}; do sleep 0.02; done\n")
        hook.chmod(0o755)

    arguments = [str(world.root / "forge"), str(tmp_path / "data"), str(tmp_path / "act")]
    worker = subprocess.Popen([sys.executable, "-c", _WORKER, *arguments, str(tmp_path / "bundle"), dies])
    if dies == "in the push":
        until(lambda: reached.exists() or worker.poll() is not None)
        os.kill(worker.pid, signal.SIGKILL)
    assert worker.wait(30) == -signal.SIGKILL
    released.touch()

    successor = world.forges(tmp_path / "data").resolve("forge/demo")
    outcome = await perform(successor, act, bundle)
    assert isinstance(outcome, Performed)
    assert outcome.commit == push.new
    assert (await probe_act(successor, act)).state == "done"
    assert world.pull_requests() == 1
