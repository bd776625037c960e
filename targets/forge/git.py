"""Git on the host: a child process that sees nothing of this machine but what it is handed.

No file configures it, no hook runs, no prompt opens and no redirect is followed. The credential travels in
the child's environment as a header bound to the forge's address: never an argument, a file or a URL.
"""

import asyncio
import base64
import contextlib
import os
import re
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from protocol.noun import Noun

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_KEPT = 16 * 1024
_EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

_PINNED = {
    "core.hooksPath": "/dev/null",
    "core.attributesFile": "/dev/null",
    "core.fsmonitor": "false",
    "core.quotePath": "true",
    # Larger blobs are shown as binary and streamed, so no diff is computed over them.
    "core.bigFileThreshold": "16m",
    # Newer gits read attributes from HEAD of a bare repository; an empty tree has none.
    "attr.tree": _EMPTY_TREE,
    "credential.helper": "",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    "fetch.unpackLimit": "1",
    "protocol.allow": "never",
    "http.followRedirects": "false",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "30",
}


class GitFailed(Exception):
    """A git command ended otherwise than asked; `text` is its standard error, scrubbed like `output`."""

    def __init__(self, text: str, exit_code: int | None = None, output: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.output = output
        self.exit_code = exit_code


class GitTimedOut(GitFailed):
    """A git command took longer than its limit and was killed."""


class GitTooLarge(GitFailed):
    """A git command wrote more than its cap and was killed."""


class GitLimits(Noun):
    """What one git process may use: seconds, bytes of output, of memory, and of any one file it writes."""

    seconds: float = 600
    output: int = 256 * 1024 * 1024
    memory: int = 2 * 1024 * 1024 * 1024
    file: int = 2 * 1024 * 1024 * 1024


class Remote:
    """Where a repository lies, and the proof that we may go there; the token is asked for at each use."""

    def __init__(self, url: str, token: Callable[[], str] | None = None) -> None:
        self.url = url
        self._token = token

    def config(self) -> tuple[dict[str, str], tuple[str, ...]]:
        """The settings that open this remote and no other, and the texts that must never be shown."""
        parts = urlsplit(self.url)
        settings = {f"protocol.{parts.scheme}.allow": "always"}
        if self._token is None or parts.scheme not in ("http", "https"):
            return settings, ()
        token = self._token()
        basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        origin = f"{parts.scheme}://{parts.netloc}/"
        return settings | {f"http.{origin}.extraHeader": f"Authorization: Basic {basic}"}, (token, basic)


class Git:
    """Runs git commands, each in a process group of its own under limits."""

    def __init__(self, home: Path, limits: GitLimits | None = None) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._home = home
        self._limits = limits or GitLimits()

    async def run(
        self,
        *arguments: str,
        directory: Path | None = None,
        stdin: bytes = b"",
        remote: Remote | None = None,
        holding: tuple[int, ...] = (),
    ) -> bytes:
        """The output of `git <arguments>`; GitFailed where it does not end with 0.

        The child inherits the descriptors `holding`: a lock on one of them lasts as long as the child does.
        """
        settings, hidden = remote.config() if remote else ({}, ())
        environment = self._environment({**_PINNED, **settings})
        limits = self._limits
        process = await asyncio.create_subprocess_exec(
            *("prlimit", f"--data={limits.memory}", f"--fsize={limits.file}", "--core=0", "git"),
            *(("--git-dir", str(directory)) if directory else ()),
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            cwd=self._home,
            start_new_session=True,
            pass_fds=holding,
        )
        try:
            async with asyncio.timeout(limits.seconds):
                _, output, errors = await asyncio.gather(
                    _feed(process, stdin), _capped(process, limits.output), _tail(process)
                )
                exit_code = await process.wait()
        except (TimeoutError, asyncio.CancelledError) as stopped:
            await _end(process)
            if isinstance(stopped, TimeoutError):
                raise GitTimedOut(f"git {arguments[0]} took longer than {limits.seconds:g} s") from None
            raise
        if len(output) > limits.output:
            raise GitTooLarge(f"git {arguments[0]} wrote more than {limits.output} bytes")
        if exit_code != 0:
            text = scrubbed(errors.decode(errors="replace"), hidden)
            if exit_code == -signal.SIGXFSZ or f"signal {signal.SIGXFSZ:d}" in text:
                raise GitTooLarge(f"git {arguments[0]} wrote a file of more than {limits.file} bytes")
            said = scrubbed(output[-_KEPT:].decode(errors="replace"), hidden)
            raise GitFailed(text or f"git {arguments[0]} ended with {exit_code}", exit_code, said)
        return output

    def _environment(self, config: Mapping[str, str]) -> dict[str, str]:
        environment = {
            "PATH": _PATH,
            "HOME": str(self._home),
            "LC_ALL": "C",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_SYSTEM": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_COUNT": str(len(config)),
        }
        for number, (key, value) in enumerate(config.items()):
            environment[f"GIT_CONFIG_KEY_{number}"] = key
            environment[f"GIT_CONFIG_VALUE_{number}"] = value
        return environment


def scrubbed(text: str, hidden: tuple[str, ...] = ()) -> str:
    """`text` without secrets: those named, and whatever stands as user information in a URL."""
    for secret in hidden:
        text = text.replace(secret, "[redacted]")
    return re.sub(r"(https?://)[^/\s@]+@", r"\1[redacted]@", text).strip()


async def _feed(process: asyncio.subprocess.Process, data: bytes) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(data)
        await process.stdin.drain()
    process.stdin.close()


async def _capped(process: asyncio.subprocess.Process, cap: int) -> bytes:
    """Standard output, one byte past the cap at most; who writes more is killed."""
    assert process.stdout is not None
    kept = bytearray()
    while piece := await process.stdout.read(1 << 16):
        kept += piece[: cap + 1 - len(kept)]
        if len(kept) > cap:
            _kill_group(process)
    return bytes(kept)


async def _tail(process: asyncio.subprocess.Process) -> bytes:
    assert process.stderr is not None
    kept = b""
    while piece := await process.stderr.read(1 << 14):
        kept = (kept + piece)[-_KEPT:]
    return kept


async def _end(process: asyncio.subprocess.Process) -> None:
    _kill_group(process)
    # A pipe that nobody empties is never seen to end, and the wait for the process would not either.
    await asyncio.gather(_capped(process, 0), _tail(process))
    await process.wait()


def _kill_group(process: asyncio.subprocess.Process) -> None:
    # Its helpers hold the pipes as well, and may outlive it: all of them are told to end.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
