"""The recipe of the default workspace image, what the image of MCP servers adds, and the tags of both."""

from pathlib import Path

from protocol.digest import digest
from protocol.noun import Noun

REPOSITORY = "rhone/workspace"
NODE_VERSION = "24.19.0"
MCP_SERVERS = Path(__file__).parent / "mcp_servers"
"""The packages of npm that the image of MCP servers has, and the lock file that pins them."""


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


def mcp_tag() -> str:
    """The workspace image with Node and the locked packages."""
    parts = [default_tag(), NODE_VERSION, (MCP_SERVERS / "package-lock.json").read_text()]
    return f"rhone/mcp:{digest(parts).removeprefix('sha256:')[:12]}"


def resolve_image(name: str) -> str:
    """The image that an `image` setting means."""
    match name:
        case "default":
            return default_tag()
        case "mcp":
            return mcp_tag()
        case _:
            return name
