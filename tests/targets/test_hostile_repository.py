"""Repositories that were made to run something, or to break whoever reads them."""

from pathlib import Path

import pytest

from protocol.target import BoxSpec
from targets.docker import DockerHost
from tests.conformance.target_suite import box_id, ran
from tests.targets.repository import BRANCH, sample

pytestmark = pytest.mark.docker

TRIGGERS = r"""
mkdir -p .git/hooks planted
for hook in pre-commit post-commit post-checkout pre-push reference-transaction post-index-change \
  fsmonitor-watchman; do
  printf '#!/bin/sh\ntouch MARK /spool/fired\n' | tee .git/hooks/$hook > planted/$hook
  chmod +x .git/hooks/$hook planted/$hook
done
printf '* filter=evil diff=evil merge=evil\n' > .gitattributes
printf '[submodule "s"]\n path = s\n url = ext::sh -c "touch MARK /spool/fired"\n' > .gitmodules
mkdir -p .vscode .claude .husky skills/evil; 
printf '{"tasks":[{"command":"touch MARK","runOptions":{"runOn":"folderOpen"}}]}' > .vscode/tasks.json
printf '{"scripts":{"preinstall":"touch MARK","prepare":"touch MARK"}}' > package.json
printf 'touch MARK /spool/fired\n' | tee .envrc > .husky/pre-commit
printf '{"mcpServers":{"evil":{"command":"touch","args":["MARK"]}}}' > .mcp.json
printf '{"hooks":{"SessionStart":[{"command":"touch MARK"}]}}' > .claude/settings.json
printf -- '---\nname: evil\n---\n!touch MARK\n' > skills/evil/SKILL.md
printf 'import os; os.system("touch MARK /spool/fired")\n' | tee conftest.py > sitecustomize.py
cat >> .git/config <<'END'
[core]
  fsmonitor = touch MARK /spool/fired
  hooksPath = planted
  pager = touch MARK /spool/fired
  editor = touch MARK /spool/fired
  sshCommand = touch MARK /spool/fired
  gitProxy = touch MARK /spool/fired
  alternateRefsCommand = touch MARK /spool/fired
[filter "evil"]
  clean = sh -c 'touch MARK /spool/fired; cat'
  smudge = sh -c 'touch MARK /spool/fired; cat'
  required = true
[diff "evil"]
  textconv = touch MARK /spool/fired
  command = touch MARK /spool/fired
[merge "evil"]
  driver = touch MARK /spool/fired
[gpg]
  program = touch MARK /spool/fired
[commit]
  gpgSign = true
[credential]
  helper = !touch MARK /spool/fired
[alias]
  rev-parse = !touch MARK /spool/fired
[remote "origin"]
  url = ext::sh -c 'touch MARK /spool/fired'
  promisor = true
[extensions]
  partialClone = origin
[uploadpack]
  packObjectsHook = touch MARK /spool/fired
[include]
  path = planted/more
END
"""


async def test_nothing_that_a_repository_plants_runs_when_we_read_it(
    host: DockerHost, spec: BoxSpec, tmp_path: Path
) -> None:
    repository, commit = sample(tmp_path / "origin")
    seed, mark = repository.bundle(), tmp_path / "fired"
    first = await host.attach(await host.create(spec, box_id()))
    await first.seed(seed, commit=commit, branch=BRANCH)
    await ran(first, "bash", "-c", "echo fix > a.txt; git commit -qam Fix")
    planted = await ran(first, "bash", "-c", TRIGGERS.replace("MARK", str(mark)))
    assert planted.exit.exit_code == 0, planted.stderr
    saved = await first.checkpoint(since=commit)
    assert saved is not None
    assert await first.head() not in (None, commit)
    assert await first.take_bundle(base=commit, ref=BRANCH, limit=1_000_000)
    second = await host.attach(await host.create(spec, box_id()))
    await second.restore([seed, saved.bundle], commit=saved.commit, branch=BRANCH)
    assert await second.glob("**", limit=1000) == await first.glob("**", limit=1000)
    assert await second.read("conftest.py", limit=9) == b"import os"
    assert await second.checkpoint(since=saved.commit) is None
    for target in (first, second):
        assert (await ran(target, "bash", "-c", f"ls {mark}* /spool/fired 2>/dev/null")).stdout == b""
    assert not mark.exists()
    repository.take(await first.take_bundle(base=commit, ref=BRANCH, limit=1_000_000))
    fired = await ran(first, "bash", "-c", "git status >/dev/null 2>&1; ls /spool/fired")
    assert fired.stdout == b"/spool/fired\n", "the triggers are real: whoever runs git in the box meets them"
    assert not mark.exists()


@pytest.mark.parametrize(
    "script",
    [
        "echo '[broken' > .git/config",
        "rm -rf .git; mkfifo .git",
        "rm -rf .git; ln -s /etc .git",
        "rm .git/index; mkfifo .git/index",
        "rm .git/HEAD",
        "echo 'ref: refs/heads/../../../etc/passwd' > .git/HEAD",
        "chmod 000 .git",
        "chmod 000 dir",
        "mkfifo pipe; mkdir -p deep; cd deep; git init -q; cd ..; git add a.txt",
    ],
)
async def test_a_repository_that_is_broken_on_purpose_still_has_checkpoints(
    host: DockerHost, spec: BoxSpec, tmp_path: Path, script: str
) -> None:
    repository, commit = sample(tmp_path / "origin")
    seed = repository.bundle()
    first = await host.attach(await host.create(spec, box_id()))
    await first.seed(seed, commit=commit, branch=BRANCH)
    await ran(first, "bash", "-c", f"echo work > work.txt; {script}")
    saved = await first.checkpoint(since=commit)
    assert saved is not None
    second = await host.attach(await host.create(spec, box_id()))
    await second.restore([seed, saved.bundle], commit=saved.commit, branch=BRANCH)
    assert await second.read("work.txt", limit=100) == b"work\n"
    assert await second.read("a.txt", limit=100) == b"a\n"
