"""Programs built from Go modules, with a Go toolchain of our own that comes as a wheel."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cli.setup.paths import Cache
from cli.setup.process import Workshop
from cli.setup.report import SetupFailed
from cli.setup.settings import CHECKOUT

TOOLS = CHECKOUT / "tools"


@dataclass(frozen=True)
class Program:
    """A Go program whose modules are pinned by the go.mod and go.sum of a directory of ours."""

    package: str
    pins: Path
    flags: tuple[str, ...]
    cgo: bool


@dataclass(frozen=True)
class Toolchain:
    """A Go that is asked to use nothing but itself and the modules that our go.sum names."""

    cache: Cache

    @property
    def installed(self) -> bool:
        return any(self._candidates())

    @property
    def go(self) -> Path:
        for path in self._candidates():
            return path
        raise SetupFailed("go", f"the wheel brought no go into {self.cache.go_environment}")

    def install(self, workshop: Workshop) -> None:
        home = self.cache.go_environment
        uv = TOOLS / "uv"
        workshop.run([uv, "venv", "--quiet", "--allow-existing", home])
        options = ["--quiet", "--require-hashes", "-r", TOOLS / "pins" / "go.txt"]
        workshop.run([uv, "pip", "install", "--python", home / "bin" / "python", *options])

    def build(self, program: Program, output: Path, workshop: Workshop) -> None:
        """Build into a name of its own first, so that half a binary is never taken for a whole one."""
        output.parent.mkdir(parents=True, exist_ok=True)
        unfinished = output.with_name(f".{output.name}.{os.getpid()}")
        argv = [*self._go(program), "build", "-trimpath", *program.flags, "-o", unfinished, program.package]
        try:
            workshop.run(argv, cwd=program.pins)
            unfinished.replace(output)
        finally:
            unfinished.unlink(missing_ok=True)

    def module_directory(self, program: Program) -> Path:
        """Where the sources of the program's own module were unpacked."""
        argv = [*self._go(program), "list", "-f", "{{.Module.Dir}}", program.package]
        done = subprocess.run(argv, cwd=program.pins, check=True, capture_output=True, text=True)
        return Path(done.stdout.strip())

    def _go(self, program: Program) -> list[str | Path]:
        variables = ["GOTOOLCHAIN=local", "GOFLAGS=-buildvcs=false", f"CGO_ENABLED={int(program.cgo)}"]
        return ["setpriv", "--pdeathsig=TERM", "env", *variables, self.go]

    def _candidates(self) -> Iterator[Path]:
        return self.cache.go_environment.glob("lib/python*/site-packages/go/bin/go")
