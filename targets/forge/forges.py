"""All forges of a configuration, by name."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from protocol.config import ForgeEntry
from protocol.errors import InvalidRequest
from protocol.secret import SecretRef
from targets.forge.faults import REMOTE
from targets.forge.folder import Folders
from targets.forge.git import Git, GitLimits, Remote
from targets.forge.gitea import Gitea
from targets.forge.github import HEADERS, GitHub
from targets.forge.memory import DirectoryForge
from targets.forge.mirror import Mirror
from targets.forge.quarantine import PushLimits, Quarantine
from targets.forge.rest import ForgeApi, Rest
from targets.forge.trees import Trees

_NAME = re.compile(r"[A-Za-z0-9_.-]*[A-Za-z0-9_-][A-Za-z0-9_.-]*")

_FETCHING = GitLimits()
_LOOKING = GitLimits(seconds=120, file=1024 * 1024 * 1024)
"""What comes out of a box gets less than what comes from a forge."""
_PUSHING = PushLimits()


@dataclass(frozen=True)
class Forge:
    """One repository on one forge. `name` is the forge's, `repository` is `owner/repository` there."""

    name: str
    repository: str
    mirror: Mirror
    quarantine: Quarantine
    api: ForgeApi


class Forges:
    """Resolves the remotes that requests name. Tokens are looked up when they are sent, not here."""

    def __init__(
        self,
        entries: Mapping[str, ForgeEntry],
        resolve_secret: Callable[[SecretRef], str],
        data_dir: Path,
        *,
        allow_file: bool = False,
        git_limits: GitLimits = _FETCHING,
        push_limits: PushLimits = _PUSHING,
    ) -> None:
        self._entries = entries
        self._resolve_secret = resolve_secret
        self._data = data_dir
        self._allow_file = allow_file
        self._git = Git(data_dir / "git-home", git_limits)
        self._guarded = Git(data_dir / "git-home", _LOOKING)
        self._push_limits = push_limits
        self.folders = Folders(self._git)
        self.trees = Trees(self._git, data_dir / "quarantine")

    def resolve(self, remote: str) -> Forge:
        """`forge/owner/repository`, or `forge/repository` where the forge's entry names an owner."""
        name, _, path = remote.partition("/")
        entry = self._entries.get(name)
        if entry is None or (entry.kind == "directory" and not self._allow_file):
            raise InvalidRequest("git.forge_unknown", f"there is no forge {name!r}", param=REMOTE)
        owner, slash, repository = path.rpartition("/")
        owner = owner if slash else entry.owner or ""
        repository = repository.removesuffix(".git")
        if not (_NAME.fullmatch(owner) and _NAME.fullmatch(repository)):
            message = f"{remote!r} does not name a repository as forge/owner/repository"
            raise InvalidRequest("git.remote_invalid", message, param=REMOTE)
        return self._bind(name, entry, owner, repository)

    def _bind(self, name: str, entry: ForgeEntry, owner: str, repository: str) -> Forge:
        def token() -> str:
            return self._resolve_secret(entry.tokenRef)

        url = entry.url.rstrip("/")
        remote = Remote(f"{url}/{owner}/{repository}.git", token)
        full_name = f"{name}/{owner}/{repository}"
        mirror = Mirror(
            self._git, remote, self._data / "mirrors" / name / owner / f"{repository}.git", full_name
        )
        quarantine = Quarantine(self._guarded, remote, mirror, self._data / "quarantine", self._push_limits)
        api: ForgeApi
        match entry.kind:
            case "gitea":
                api = Gitea(Rest(f"{url}/api/v1", token), owner, repository)
            case "github":
                api = GitHub(Rest(_github_api(url), token, HEADERS), owner, repository)
            case "directory":
                api = DirectoryForge(Path(url.removeprefix("file://")), mirror, owner, repository)
        return Forge(name, f"{owner}/{repository}", mirror, quarantine, api)


def _github_api(url: str) -> str:
    """GitHub's own API has a host of its own; an enterprise server has a path."""
    return "https://api.github.com" if url == "https://github.com" else f"{url}/api/v3"
