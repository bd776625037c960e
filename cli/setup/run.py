"""The set-up of one machine, from what is missing to everything being there."""

import fcntl
import os
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

from cli.setup import engine
from cli.setup.binaries import make_agent, make_gitea, make_temporal
from cli.setup.debian import install
from cli.setup.golang import Toolchain
from cli.setup.image import make_image
from cli.setup.mcp_image import make_mcp_image
from cli.setup.paths import Cache, cache_of, postgres_programs, program, temporal_binary
from cli.setup.plan import OPTIONAL, Machine, Part, Plan, Wanted, plan
from cli.setup.process import Workshop
from cli.setup.report import Report, SetupFailed
from targets.agent_binary import agent_path
from targets.images import default_tag, mcp_tag

_PROGRAMS = ("git", "dockerd", "debootstrap", "gpgv", "gcc")


def run_setup(data: Path, *, for_tests: bool, report: Report, forge: bool = True) -> None:
    """Install and build what is missing; a second run finds nothing to do. Raises SetupFailed."""
    data = data.resolve()
    cache = cache_of(data)
    cache.root.mkdir(parents=True, exist_ok=True)
    with _alone(cache, report):
        todo = plan(look(data), Wanted(forge=forge, postgres=for_tests))
        _Setup(cache, todo, report).run()
    missing = plan(look(data), Wanted(forge=forge, postgres=for_tests)).parts if todo.parts else ()
    if not OPTIONAL.issuperset(missing):
        raise SetupFailed("setup", f"still missing after set-up: {', '.join(missing)}")
    there = f"all but {', '.join(missing)} is there" if missing else "everything is there"
    report.say("setup", f"{there}; what was built lies in {cache.root}")


def look(data: Path) -> Machine:
    """This machine as it is now."""
    cache = cache_of(data)
    answers = engine.answers()
    programs = {name for name in _PROGRAMS if program(name) is not None}
    if postgres_programs() is not None:
        programs.add("initdb")
    return Machine(
        root=os.geteuid() == 0,
        programs=frozenset(programs),
        engine=answers,
        image=answers and engine.has_image(default_tag()),
        go=Toolchain(cache).installed,
        temporal=_temporal_is_there(cache),
        agent=agent_path(cache.root).exists(),
        gitea=cache.has_gitea,
        mcp=answers and engine.has_image(mcp_tag()),
    )


def _temporal_is_there(cache: Cache) -> bool:
    found = temporal_binary(cache.root)
    if found is not None and not os.access(found, os.X_OK):
        raise SetupFailed("temporal", f"{found} is not a program; is RHONE_TEMPORAL_BIN right?")
    return found is not None


@contextmanager
def _alone(cache: Cache, report: Report) -> Generator[None]:
    """One set-up at a time in one data directory; a second one waits and then finds the work done."""
    with (cache.root / "setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report.say("setup", "another set-up works here: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class _Setup:
    """One plan being carried out."""

    def __init__(self, cache: Cache, todo: Plan, report: Report) -> None:
        self._cache = cache
        self._todo = todo
        self._report = report
        self._toolchain = Toolchain(cache)

    def run(self) -> None:
        if "packages" in self._todo.parts:
            for need in self._todo.needs:
                self._report.say("packages", f"installing {' '.join(need.packages)}: {need.why}")
            install(self._todo.packages, self._workshop("packages"))
        if "engine" in self._todo.parts:
            engine.start(self._workshop("engine"))
        if "go" in self._todo.parts:
            self._report.say("go", "installing a Go toolchain of our own, to build what has no package")
            self._toolchain.install(self._workshop("go"))
        self._build_side_by_side()
        if "mcp" in self._todo.parts:  # on the workspace image
            make_mcp_image(self._cache, self._workshop("mcp"))

    def _build_side_by_side(self) -> None:
        makers: dict[Part, Callable[[Workshop], None]] = {
            "agent": lambda workshop: make_agent(self._cache, self._toolchain, workshop),
            "temporal": lambda workshop: make_temporal(self._cache, self._toolchain, workshop),
            "image": lambda workshop: make_image(self._cache, workshop),
            "forge": lambda workshop: make_gitea(self._cache, self._toolchain, workshop),
        }
        failures: list[SetupFailed] = []
        with ThreadPoolExecutor(max_workers=len(makers)) as pool:
            work = {
                pool.submit(makers[part], self._workshop(part)): part
                for part in self._todo.parts
                if part in makers
            }
            for future in as_completed(work):
                try:
                    future.result()
                    self._report.say(work[future], "done")
                except SetupFailed as failure:
                    # The other builds go on: what they finish is kept, and the next try is shorter.
                    self._report.say(work[future], "FAILED; what else is under way is finished first")
                    failures.append(failure)
        if failures:
            raise SetupFailed("setup", "\n".join(f"{failure.part}: {failure}" for failure in failures))

    def _workshop(self, part: Part) -> Workshop:
        return Workshop(part, self._cache.logs, self._report)
