"""What a workspace is made of: the image, its environment, and what is done once before the first step."""

from protocol.noun import Noun

SET_UP = "set_up_workspace"
"""The tool that runs `setup`. It is called once, before the first step, and no model is offered it."""

ENVIRONMENT_NAME = r"^[A-Za-z_][A-Za-z0-9_]{0,127}$"


class ImageBuild(Noun):
    """An image that is built of a folder of the repository; paths are relative to the repository's root."""

    dockerfile: str
    context: str = ""
    args: dict[str, str] = {}
    stage: str | None = None
    network: str = "none"


class ImageRecipe(Noun):
    """All that such an image depends on, by content: the same recipe is built once."""

    build: ImageBuild
    dockerfile_digest: str
    context_tree: str


class Unserved(Noun):
    """A wish of the repository's that is not served, and why."""

    name: str
    asked: str
    reason: str


class WorkspacePlan(Noun):
    """Resolved once, at the commit that the run begins from: `image` by name, or else `build`."""

    image: str | None = None
    build: ImageBuild | None = None
    env: dict[str, str] = {}
    setup: tuple[str, ...] = ()
    setup_timeout_ms: int = 900_000
    unserved: tuple[Unserved, ...] = ()
