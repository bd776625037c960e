"""A real forge on this machine, for the demo and the tests: Gitea with everything in one directory."""

import base64
import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

from cli.ports import free
from cli.setup.paths import Cache

_READY_WITHIN = 90.0
_NOBODY = 65534
_ADMIN = "rhone"

_CONFIG = """\
APP_NAME = Rhone forge
RUN_MODE = prod
WORK_PATH = {home}

[server]
HTTP_ADDR = 127.0.0.1
HTTP_PORT = {port}
ROOT_URL = http://127.0.0.1:{port}/
STATIC_ROOT_PATH = {static}
OFFLINE_MODE = true
DISABLE_SSH = true
LFS_START_SERVER = false

[database]
DB_TYPE = sqlite3
PATH = {home}/gitea.db

[repository]
ROOT = {home}/repositories
DEFAULT_BRANCH = main

[security]
INSTALL_LOCK = true
SECRET_KEY = {secret}

[service]
DISABLE_REGISTRATION = true

[indexer]
ISSUE_INDEXER_TYPE = db

[actions]
ENABLED = false

[packages]
ENABLED = false

[log]
ROOT_PATH = {home}/log
LEVEL = Warn
"""


class GiteaFailed(Exception):
    """The forge did not start, or refused what it was asked."""


class GiteaApi:
    """What is asked of a forge that runs, wherever it runs, as its administrator."""

    def __init__(self, url: str, credentials: dict[str, str]) -> None:
        self.url = url
        self.admin_user = credentials["user"]
        self.admin_password = credentials["password"]
        self.token = credentials["token"]
        self._http = httpx2.Client(
            base_url=f"{self.url}/api/v1", headers={"Authorization": f"token {self.token}"}, timeout=30
        )

    def close(self) -> None:
        self._http.close()

    def create_repository(self, name: str, files: dict[str, str], private: bool = False) -> str:
        """Make a repository with one commit on `main`; returns its clone URL, which holds no credentials."""
        self._post("/user/repos", {"name": name, "private": private, "default_branch": "main"})
        changes = [
            {"operation": "create", "path": path, "content": base64.b64encode(text.encode()).decode()}
            for path, text in files.items()
        ]
        body = {"branch": "main", "message": "Start the project", "files": changes}
        self._post(f"/repos/{self.admin_user}/{name}/contents", body)
        return f"{self.url}/{self.admin_user}/{name}.git"

    def pull_requests(self, owner: str, repo: str) -> list[dict[str, Any]]:
        """All of them, open and closed, newest first, as the forge's API tells them."""
        return self._get(f"/repos/{owner}/{repo}/pulls", {"state": "all", "limit": "50"})

    def ref(self, owner: str, repo: str, branch: str) -> str | None:
        """The commit that a branch points to."""
        answer = self._http.get(f"/repos/{owner}/{repo}/branches/{branch}")
        if answer.status_code == 404:
            return None
        return _checked(answer)["commit"]["id"]

    def _get(self, path: str, query: dict[str, str]) -> Any:
        return _checked(self._http.get(path, params=query))

    def _post(self, path: str, body: Mapping[str, object]) -> Any:
        return _checked(self._http.post(path, json=body))


class Gitea(GiteaApi):
    """A running forge; a second start on the same directory finds its users and repositories again."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, credentials: dict[str, str]) -> None:
        super().__init__(f"http://127.0.0.1:{port}", credentials)
        self._process = process
        self.port = port

    @classmethod
    def start(cls, data_dir: Path, cache: Path, port: int = 0) -> Self:
        """Start on `data_dir` with the program that set-up left in `cache`; returns when it answers."""
        installation = _Installation(data_dir.resolve(), Cache(cache.resolve()))
        chosen = installation.prepare(port)
        process = installation.serve()
        try:
            _wait_until_ready(process, chosen, installation.log)
            return cls(process, chosen, installation.credentials())
        except BaseException:
            _end(process)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        self.close()
        _end(self._process)


def _checked(answer: httpx2.Response) -> Any:
    if answer.status_code >= 400:
        request = answer.request
        raise GiteaFailed(f"{request.method} {request.url.path}: {answer.status_code} {answer.text[:500]}")
    return answer.json()


def make_administrator(admin: Callable[..., str]) -> dict[str, str]:
    """The credentials of a new administrator; `admin` runs `gitea admin user` with the words that it gets."""
    password = secrets.token_urlsafe(24)
    who = ("--username", _ADMIN)
    mail = ("--email=rhone@localhost.localdomain", "--must-change-password=false")
    admin("create", *who, *mail, "--password", password, "--admin")
    made = admin("generate-access-token", *who, "--token-name=rhone", "--scopes=all", "--raw")
    return {"user": _ADMIN, "password": password, "token": made.split()[-1]}


class _Installation:
    """The directory of one forge: configuration, database, repositories, credentials of its administrator."""

    def __init__(self, home: Path, cache: Cache) -> None:
        self._home = home
        self._cache = cache
        self._config = home / "app.ini"
        self._state = home / "rhone.json"
        self.log = home / "gitea.log"

    def prepare(self, port: int) -> int:
        """Write the configuration; the port of the last time is kept where nobody else has taken it."""
        if not self._cache.has_gitea:
            raise GiteaFailed(f"no forge at {self._cache.gitea}; `rhone setup` builds it")
        self._home.mkdir(parents=True, exist_ok=True)
        state = self._read()
        state.setdefault("secret", secrets.token_hex(32))
        chosen = port or free(int(state.get("port", 0)))
        state["port"] = str(chosen)
        self._write(state)
        text = _CONFIG.format(
            home=self._home, port=chosen, static=self._cache.gitea_static, secret=state["secret"]
        )
        self._config.write_text(text)
        if os.geteuid() == 0:
            for path in (self._home, self._config):
                os.chown(path, _NOBODY, _NOBODY)
        return chosen

    def serve(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self._command("web"), cwd=self._home, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def credentials(self) -> dict[str, str]:
        """The administrator, made at the first start."""
        state = self._read()
        if "token" not in state:
            state |= make_administrator(self._admin)
            self._write(state)
        return state

    def _admin(self, *arguments: str) -> str:
        done = subprocess.run(
            self._command("admin", "user", *arguments), cwd=self._home, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise GiteaFailed(f"gitea admin user {arguments[0]} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def _command(self, *arguments: str) -> list[str | Path]:
        # Gitea refuses root. It gets nobody's id, and of root's rights only that to pass through directories
        # which are closed to others, since a data directory often lies in a private home. It ends with the
        # thread that started it, so start it from one that lives as long as the forge is needed.
        lowered: list[str | Path] = ["setpriv", "--pdeathsig=KILL"]
        if os.geteuid() == 0:
            lowered += [f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"]
            lowered += ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"]
            # Git asks access(2), which ignores such a right of anyone but root unless this bit is set.
            lowered += ["--securebits=+no_setuid_fixup"]
        lowered += ["env", f"HOME={self._home}", f"GITEA_WORK_DIR={self._home}", "USER=nobody"]
        return [*lowered, self._cache.gitea, "--config", self._config, *arguments]

    def _read(self) -> dict[str, str]:
        return json.loads(self._state.read_text()) if self._state.exists() else {}

    def _write(self, state: dict[str, str]) -> None:
        unfinished = self._state.with_suffix(".new")
        unfinished.touch(mode=0o600)
        unfinished.write_text(json.dumps(state))
        unfinished.replace(self._state)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _READY_WITHIN
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if httpx2.get(f"http://127.0.0.1:{port}/api/healthz", timeout=5).status_code == 200:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.05)
    raise GiteaFailed(
        f"the forge did not start; the end of {log}:\n{log.read_text(errors='replace')[-2000:]}"
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
