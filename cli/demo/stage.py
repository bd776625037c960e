"""What the demo plays on: a forge, a configuration, and `rhone up` as a process of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from docker.errors import DockerException
from requests.exceptions import RequestException

from cli.client import Client
from cli.demo import project
from cli.failure import Failure
from cli.gitea import Gitea, GiteaFailed
from cli.home import Home
from cli.settings import DemoModel, Settings
from cli.setup import engine
from cli.supervise.child import ending_with
from cli.supervise.lock import held

_END_WITHIN = 60.0
_HERE = Path(__file__).parent

_CONFIG = """\
[targets.default]
kind = "workspace"

[forges.forge]
kind = "gitea"
url = "{forge}"
tokenRef = {{ kind = "file", name = "forge.token" }}
owner = "{owner}"
"""

_SCRIPTED = """
[providers.scripted]
protocol = "scripted"
script = "script.toml"
models = ["demo"]

[aliases]
default = "scripted/demo"
"""

_REAL = """
[providers.real]
protocol = "openai-compatible"
baseURL = {base_url}
models = [{model}]
{key}
[aliases]
default = {alias}
"""


@dataclass(frozen=True)
class Stage:
    """Everything runs; `home` is the data directory of the stack."""

    home: Home
    forge: Gitea
    client: Client

    @property
    def repository(self) -> str:
        return project.NAME

    @property
    def watcher(self) -> Client:
        return self.client

    def kill_worker(self, run_id: str) -> str:
        name = self.worker(run_id)
        os.kill(self._worker_pid(), signal.SIGKILL)
        return name

    def worker(self, run_id: str) -> str:
        return f"process {self._worker_pid()}"

    def _worker_pid(self) -> int:
        return int(self.home.read_pids()["worker"])


@contextmanager
def staged(settings: Settings) -> Generator[Stage]:
    """The stage, from nothing; taken down in every case."""
    home = Home(settings.data / "demo" / "stack")
    _wipe(home)
    try:
        forge = Gitea.start(settings.data / "demo" / "forge", settings.cache)
    except GiteaFailed as error:
        raise Failure(str(error)) from error
    try:
        with forge:
            _configure(home, forge, settings.demo)
            forge.create_repository(project.NAME, project.FILES)
            with _up(home, settings.cache) as url, Client(url, home.admin_key.read_text().strip()) as client:
                yield Stage(home, forge, client)
    finally:
        _remove_boxes(home)


def _wipe(home: Home) -> None:
    home.make()
    with held(home):
        _remove_boxes(home)
        shutil.rmtree(home.root.parent)
    home.make()


def _remove_boxes(home: Home) -> None:
    """A demo that was ended early leaves a run that goes on, and the box in which it would."""
    if not home.installation.exists():
        return
    with suppress(DockerException, RequestException):
        engine.remove_boxes(home.installation.read_text().strip())


def _configure(home: Home, forge: Gitea, model: DemoModel | None) -> None:
    token = home.root / "forge.token"
    token.touch(mode=0o600)
    token.write_text(forge.token)
    shutil.copyfile(_HERE / "script.toml", home.root / "script.toml")
    text = _CONFIG.format(forge=forge.url, owner=forge.admin_user)
    if model is None:
        home.config.write_text(text + _SCRIPTED)
        return
    key = 'apiKeyRef = { kind = "env", name = "RHONE_DEMO_API_KEY" }\n' if model.api_key else ""
    quoted = {"base_url": model.base_url, "model": model.model, "alias": f"real/{model.model}"}
    home.config.write_text(text + _REAL.format(key=key, **{k: json.dumps(v) for k, v in quoted.items()}))


@contextmanager
def _up(home: Home, cache: Path) -> Generator[str]:
    """`rhone up` and its address; a demo that is killed takes it down too, since its children follow it."""
    argv = [sys.executable, "-m", "cli.main", "up", "--port", "0"]
    argv += ["--data", str(home.root), "--config", str(home.config)]
    log = home.logs / "up.log"
    environment = os.environ | {"RHONE_CACHE": str(cache)}
    with log.open("w") as errors:
        process = subprocess.Popen(
            argv,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
            start_new_session=True,
            preexec_fn=ending_with(os.getpid(), signal.SIGTERM),
        )
    try:
        assert process.stdout is not None
        word, _, url = process.stdout.readline().strip().partition(" ")
        if word != "ready":
            raise Failure(f"`rhone up` did not come up:\n{log.read_text()[-3000:]}")
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_END_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
