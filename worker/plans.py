"""What a run's workspace is made of, resolved once at the commit that the run begins from."""

from collections.abc import Callable

from capabilities.safety import reasons
from protocol.capability import RepositoryGrant
from protocol.config import TargetEntry
from protocol.digest import digest_bytes
from protocol.errors import InvalidRequest
from protocol.run import TargetChoice
from protocol.workspace import ImageBuild, ImageRecipe, WorkspacePlan
from targets.forge.forges import Forges
from targets.forge.mirror import Mirror
from worker.devcontainer import inside, read_devcontainer


class Plans:
    """Reads repositories through this worker's mirrors."""

    def __init__(
        self, forges: Forges, entries: Callable[[str], TargetEntry], redact: Callable[[str], str]
    ) -> None:
        self._forges = forges
        self._redact = redact
        self._entries = entries

    async def plan(
        self, target: TargetChoice | None, repository: RepositoryGrant | None
    ) -> WorkspacePlan | None:
        """What the target's entry says, and the repository where the entry leaves that to it."""
        if target is None or target.kind != "workspace":
            return None
        entry = self._entries(target.name)
        plan = WorkspacePlan(image=entry.image)
        if entry.dockerfile is not None:
            build = ImageBuild(dockerfile=inside(entry.dockerfile), network=entry.build_network)
            plan = WorkspacePlan(build=build)
        elif entry.devcontainer is not None:
            path = inside(entry.devcontainer)
            data = await self._file(repository, path)
            plan = read_devcontainer(data, path, entry.build_network)
        env = {**plan.env, **entry.env}
        for name, value in env.items():
            if reasons("secrets", value, self._redact):
                message = f"`env.{name}` looks like a secret, which never goes into a box"
                raise InvalidRequest("target.environment_refused", message, param="target.name")
        more = {"setup": (*entry.setup, *plan.setup), "setup_timeout_ms": entry.setup_timeout_ms}
        return plan.model_copy(update={"env": env, **more})

    async def recipe(
        self, build: ImageBuild, repository: RepositoryGrant | None
    ) -> tuple[ImageRecipe, bytes]:
        """A build with all that it depends on, and its context."""
        data = await self._file(repository, build.dockerfile)
        mirror, commit = await self._mirror(repository, build.dockerfile)
        tree = await mirror.folder(commit, build.context)
        if tree is None:
            message = f"the repository has no folder {build.context!r}"
            raise InvalidRequest("target.build_failed", message, param="target.name")
        if build.context and not build.dockerfile.startswith(f"{build.context}/"):
            message = f"{build.dockerfile} is not in the folder that the image is built of, {build.context!r}"
            raise InvalidRequest("target.build_failed", message, param="target.name")
        recipe = ImageRecipe(build=build, dockerfile_digest=digest_bytes(data), context_tree=tree)
        return recipe, await mirror.archive(tree)

    async def _file(self, repository: RepositoryGrant | None, path: str) -> bytes:
        mirror, commit = await self._mirror(repository, path)
        data = await mirror.file(commit, path)
        if data is None:
            message = f"{mirror.repository} has no file {path} at {commit[:12]}"
            raise InvalidRequest("target.image_missing", message, param="target.name")
        return data

    async def _mirror(self, repository: RepositoryGrant | None, path: str) -> tuple[Mirror, str]:
        if repository is None:
            message = f"the target is made of {path} in a repository, and the run has none"
            raise InvalidRequest("target.image_missing", message, param="target.repo")
        mirror = self._forges.resolve(f"{repository.forge}/{repository.repository}").mirror
        await mirror.require(repository.base_commit, repository.base_branch)
        return mirror, repository.base_commit
