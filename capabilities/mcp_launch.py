"""What has to be approved before a program is started as an MCP server, and how a person is shown it."""

from capabilities.visible import written
from protocol.digest import digest
from protocol.mcp import StdioEntry


def launch_digest(server: str, entry: StdioEntry) -> str:
    """Another word, variable, image or limit is another launch."""
    return digest({"server": server, **entry.model_dump(mode="json")})


def permission(server: str, entry: StdioEntry) -> str:
    """What a permission to start exactly this is kept under."""
    return f"mcp:{server}@{launch_digest(server, entry)}"


def in_words(server: str, entry: StdioEntry) -> str:
    """The whole argument vector and every name in the environment; secrets by where they come from."""
    told = [
        f"The MCP server {server!r} may be started in the runs of this project: as a program in a box of",
        f"its own without a network, made of the image {written(entry.image)}, with exactly these words:",
        *(f"  [{place}] {written(word)}" for place, word in enumerate(entry.command)),
        "environment names:" if entry.env or entry.secrets else "environment names: (none)",
        *(f"  {name} = {written(value)}" for name, value in sorted(entry.env.items())),
        *(f"  {name}, the secret {it.kind}:{written(it.name)}" for name, it in sorted(entry.secrets.items())),
        f"digest: {launch_digest(server, entry)}",
    ]
    return "\n".join(told)
