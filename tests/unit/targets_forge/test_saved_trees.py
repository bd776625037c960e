"""Files of a saved work tree, as the API reads them: by their exact path in the commit, and by no other."""

from pathlib import Path

import pytest

from protocol.errors import NotFound
from tests.conformance.forge_world import start
from tests.escapes import escapes
from tests.unit.targets_forge.conftest import DirectoryWorld

pytestmark = pytest.mark.slow


async def test_no_spelling_of_a_path_leads_out_of_a_saved_tree(world: DirectoryWorld, tmp_path: Path) -> None:
    """FIL-02, of `/workspace/files`: a repository of git has no way up, and links are not followed."""
    forges = world.forges()
    forge = forges.resolve("forge/demo")
    started = await start(forge, tmp_path / "run")
    (started.box.directory / "link").symlink_to("/etc")
    started.box.git("add", "--", "link")
    commit = started.box.commit({"fix.txt": "fixed\n"}, "Fix it")
    bundle = started.out()

    async def read(path: str) -> bytes:
        return await forges.trees.file([bundle], commit, path, mirror=forge.mirror)

    assert await read("fix.txt") == await read("/workspace/fix.txt") == b"fixed\n"
    assert await read("link") == b"/etc"
    spelt = escapes("etc/passwd", "../etc/passwd", "fix.txt")
    assert len(spelt) >= 120
    for path in [*spelt, "link/passwd", "/etc/passwd", "objects/info/alternates"]:
        with pytest.raises(NotFound) as refused:
            await read(path)
        assert refused.value.code == "target.not_found", path
