"""A `devcontainer.json`, read as a plan: what is served of it, and by name what is not."""

import json
import posixpath
import re
import shlex

from protocol.errors import InvalidRequest
from protocol.jsonc import parse_jsonc
from protocol.noun import JSON, JSONObject
from protocol.workspace import ENVIRONMENT_NAME, ImageBuild, Unserved, WorkspacePlan

_SERVED = ("$schema", "name", "image", "build", "postCreateCommand", "containerEnv")
_BUILD = ("dockerfile", "context", "args", "target")
_FOLDERS = {"${containerWorkspaceFolder}": "/workspace", "${containerWorkspaceFolderBasename}": "workspace"}
_NAME = re.compile(ENVIRONMENT_NAME)
_SHOWN = 200


def read_devcontainer(data: bytes, path: str, network: str) -> WorkspacePlan:
    """The plan of the file at `path` in the repository."""
    try:
        told = parse_jsonc(data.decode())
    except (ValueError, RecursionError) as error:
        raise _refusal(path, f"it is not JSON: {str(error)[:_SHOWN]}") from error
    if not isinstance(told, dict):
        raise _refusal(path, "it is not an object")
    unserved = [_unserved(key, told[key]) for key in told if key not in _SERVED]
    image, build = told.get("image"), told.get("build")
    if isinstance(build, dict):
        unserved += [_unserved(f"build.{key}", build[key]) for key in build if key not in _BUILD]
        made = WorkspacePlan(build=_build(build, path, network))
    elif isinstance(image, str) and image:
        made = WorkspacePlan(image=image)
    else:
        raise _refusal(path, "it names neither `image` nor `build`")
    env = _environment(told.get("containerEnv"), path, unserved)
    setup = _commands(told.get("postCreateCommand"), path)
    return made.model_copy(update={"env": env, "setup": setup, "unserved": tuple(unserved)})


def inside(path: str) -> str:
    """A path in a repository from its root; the root itself is empty."""
    plain = posixpath.normpath(path)
    if plain.startswith(("/", "../")) or plain == ".." or "\0" in plain:
        raise InvalidRequest("target.path_refused", f"{path[:_SHOWN]!r} leads out of the repository")
    return "" if plain == "." else plain


def _build(told: JSONObject, path: str, network: str) -> ImageBuild:
    dockerfile, context = told.get("dockerfile"), told.get("context", ".")
    args, stage = told.get("args", {}), told.get("target")
    if not (isinstance(dockerfile, str) and isinstance(context, str)):
        raise _refusal(path, "`build.dockerfile` and `build.context` are paths")
    if not isinstance(args, dict) or not (stage is None or isinstance(stage, str)):
        raise _refusal(path, "`build.args` is an object, `build.target` a name")
    folder = posixpath.dirname(path)
    return ImageBuild(
        dockerfile=inside(posixpath.join(folder, dockerfile)),
        context=inside(posixpath.join(folder, context)),
        args={name: _text(value) for name, value in args.items()},
        stage=stage,
        network=network,
    )


def _environment(told: JSON, path: str, unserved: list[Unserved]) -> dict[str, str]:
    """Nothing of a host ever comes in: a value that asks for it is not served."""
    if told is None:
        return {}
    if not isinstance(told, dict):
        raise _refusal(path, "`containerEnv` is an object")
    env: dict[str, str] = {}
    for name, value in told.items():
        text = _text(value)
        for variable, folder in _FOLDERS.items():
            text = text.replace(variable, folder)
        if "${" in text or "\0" in text or not _NAME.fullmatch(name):
            unserved.append(_unserved(f"containerEnv.{name}", value))
        elif value is not None:
            env[name] = text
    return env


def _commands(told: JSON, path: str) -> tuple[str, ...]:
    """A line for the shell, a list of words, or several of these by name: one after the other."""
    match told:
        case None | "" | []:
            return ()
        case str(line):
            return (line,)
        case [*words] if all(isinstance(word, str) for word in words):
            return (shlex.join(str(word) for word in words),)
        case dict(named) if not any(isinstance(one, dict) for one in named.values()):
            return tuple(line for one in named.values() for line in _commands(one, path))
        case _:
            pass
    raise _refusal(path, "`postCreateCommand` is a line, a list of words, or an object of these")


def _unserved(name: str, asked: JSON) -> Unserved:
    shown = json.dumps(asked, ensure_ascii=False)
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
    return Unserved(name=f"devcontainer.{name}"[:_SHOWN], asked=shown, reason="it is not served in a box")


def _text(value: JSON) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _refusal(path: str, why: str) -> InvalidRequest:
    return InvalidRequest("target.devcontainer_refused", f"{path}: {why}", param="target.name")
