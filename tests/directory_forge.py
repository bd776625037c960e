"""A forge that is a directory of repositories, for stacks of tests."""

from pathlib import Path

from tests.targets.repository import Repository

ALLOWED = {"RHONE_FORGE_ALLOW_FILE": "true"}
"""What a worker's environment needs, to ask it."""


class DirectoryForge:
    """The forge `forge`, and whoever pushes to it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.table = (
            f'[forges.forge]\nkind = "directory"\nurl = "file://{directory}"\nowner = "acme"\n'
            'tokenRef = { kind = "file", name = "signing.key" }\n'
        )

    def make(self, name: str, files: dict[str, str]) -> str:
        """What a request names the repository by."""
        repository = Repository(self._directory / "acme" / f"{name}.work")
        for path in (path for path in files if path.endswith(".sh")):
            (repository.path / path).touch(mode=0o755)
        repository.commit({path: text.encode() for path, text in files.items()})
        repository.git("clone", "-q", "--bare", ".", f"../{name}.git")
        return f"forge/{name}"
