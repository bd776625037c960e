"""A repository on this machine that boxes are seeded from."""

import os
import subprocess
from pathlib import Path

BRANCH = "rhone/fix"


class Repository:
    """A plain git repository, run without anybody's configuration."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str, stdin: bytes = b"") -> bytes:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.path.parent),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "A",
            "GIT_AUTHOR_EMAIL": "a@example.org",
            "GIT_COMMITTER_NAME": "A",
            "GIT_COMMITTER_EMAIL": "a@example.org",
        }
        done = subprocess.run(
            ["git", *arguments], cwd=self.path, env=environment, input=stdin, check=True, capture_output=True
        )
        return done.stdout

    def commit(self, files: dict[str, bytes], message: str = "Change") -> str:
        for name, content in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.head()

    def head(self) -> str:
        return self.git("rev-parse", "HEAD").decode().strip()

    def bundle(self) -> bytes:
        return self.git("bundle", "create", "-", "main")

    def take(self, bundle: bytes) -> None:
        """The objects and heads of a bundle come in under `taken/`."""
        path = self.path.parent / "taken.bundle"
        path.write_bytes(bundle)
        self.git("fetch", "-q", str(path), "refs/heads/*:refs/taken/*")


def sample(path: Path) -> tuple[Repository, str]:
    repository = Repository(path)
    script = repository.path / "run.sh"
    script.write_text("echo run\n")
    script.chmod(0o755)
    (repository.path / "link").symlink_to("run.sh")
    commit = repository.commit(
        {
            "a.txt": b"a\n",
            "dir/b.txt": b"b\n",
            "dir/c.bin": bytes(range(256)),
            ".gitignore": b"*.log\nbuild/\n",
        }
    )
    return repository, commit
