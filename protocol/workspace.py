"""What a workspace is made of."""

from protocol.noun import Noun


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
