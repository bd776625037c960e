"""The recipe of the default workspace image, and the tag that its digest gives it."""

from protocol.digest import digest
from protocol.noun import Noun

DEFAULT = "default"
REPOSITORY = "rhone/workspace"


class Recipe(Noun):
    """What a workspace image holds; two machines with the same recipe use the same tag."""

    suite: str
    packages: tuple[str, ...]
    user: str
    uid: int
    home: str
    scratch: tuple[str, ...]
    environment: tuple[str, ...]


WORKSPACE = Recipe(
    suite="bookworm",
    packages=(
        "bash",
        "ca-certificates",
        "curl",
        "git",
        "make",
        "patch",
        "procps",
        "python-is-python3",
        "python3",
        "python3-pytest",
        "ripgrep",
    ),
    user="agent",
    uid=1000,
    home="/home/agent",
    scratch=("/tmp", "/var/tmp", "/workspace"),
    environment=(
        "PATH=/usr/local/bin:/usr/bin:/bin",
        "HOME=/home/agent",
        "LANG=C.UTF-8",
        "PYTHONDONTWRITEBYTECODE=1",
    ),
)


def default_tag() -> str:
    return f"{REPOSITORY}:{digest(WORKSPACE).removeprefix('sha256:')[:12]}"


def resolve_image(name: str) -> str:
    """The image that a target's `image` setting means."""
    return default_tag() if name == DEFAULT else name
