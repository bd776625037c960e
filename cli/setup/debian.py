"""Debian packages, and the Debian mirror that this machine's apt is set to use."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cli.setup.paths import program
from cli.setup.process import Workshop
from cli.setup.report import SetupFailed

_APT = Path("/etc/apt")
_LISTS = Path("/var/lib/apt/lists")
_CLUSTER_CONFIG = Path("/etc/postgresql-common/createcluster.conf")


_ONE_LINE = re.compile(r"\s*deb\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)\s*(.*)")
_SIGNED_BY = re.compile(r"signed-by=(/[^\s,]+)")


@dataclass(frozen=True)
class Source:
    """One archive that apt fetches packages from."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    keyring: str | None = None


def mirror_for(suite: str, sources: Iterable[Source]) -> Source | None:
    """The configured source that carries Debian itself: the suite's own if there is one, else any mirror."""
    mirrors = [source for source in sources if _is_debian(source)]
    exact = [source for source in mirrors if suite in source.suites]
    return next(iter(exact + mirrors), None)


def _is_debian(source: Source) -> bool:
    # Other vendors' archives use Debian's suite names too; Debian's own lie under a path segment of its name.
    address = urlsplit(source.uri)
    usable = address.scheme in ("http", "https", "file")
    return usable and "debian" in address.path.split("/") and "main" in source.components


def configured_sources(apt: Path = _APT) -> list[Source]:
    found: list[Source] = []
    for path in [apt / "sources.list", *sorted(apt.glob("sources.list.d/*.list"))]:
        if path.is_file():
            found += one_line_sources(path.read_text())
    for path in sorted(apt.glob("sources.list.d/*.sources")):
        found += stanza_sources(path.read_text())
    return found


def one_line_sources(text: str) -> Iterator[Source]:
    """Sources in the style `deb [option=value] uri suite component...`."""
    for line in text.splitlines():
        match = _ONE_LINE.match(line.partition("#")[0])
        if match is not None:
            options, uri, suite, components = match.groups()
            keyring = _SIGNED_BY.search(options or "")
            yield Source(uri, (suite,), tuple(components.split()), keyring.group(1) if keyring else None)


def stanza_sources(text: str) -> Iterator[Source]:
    """Sources in the deb822 style: paragraphs of `Field: values`."""
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    for paragraph in "\n".join(lines).split("\n\n"):
        fields: dict[str, list[str]] = {}
        name = ""
        for line in paragraph.splitlines():
            if line[:1].isspace():
                fields.setdefault(name, []).extend(line.split())
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.split()
        if "deb" not in fields.get("types", ()) or fields.get("enabled", ["yes"])[0].lower() == "no":
            continue
        signed_by = fields.get("signed-by", [])
        keyring = signed_by[0] if len(signed_by) == 1 and signed_by[0].startswith("/") else None
        for uri in fields.get("uris", ()):
            yield Source(uri, tuple(fields.get("suites", ())), tuple(fields.get("components", ())), keyring)


def install(packages: tuple[str, ...], workshop: Workshop) -> None:
    """Install the packages; package lists are fetched first only where there are none or they are stale."""
    names = " ".join(packages)
    if program("apt-get") is None:
        raise SetupFailed(workshop.part, f"this is not Debian; install what it calls {names}")
    if os.geteuid() != 0:
        raise SetupFailed(workshop.part, f"not root; as root run: apt-get install {names}")
    if "postgresql" in packages:
        _prefer_no_cluster()
    apt: list[str | Path] = [
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "-q",
        "-o",
        "DPkg::Lock::Timeout=300",
    ]
    order: list[str | Path] = [
        *apt,
        "-y",
        "--no-install-recommends",
        "-o",
        "Dpkg::Options::=--force-confold",
        "install",
    ]
    if any(_LISTS.glob("*_Packages*")) and workshop.try_run([*order, *packages]) == 0:
        return
    workshop.say("fetching Debian's package lists")
    workshop.run([*apt, "update"])
    workshop.run([*order, *packages])


def _prefer_no_cluster() -> None:
    # The tests start clusters of their own from the package's programs. Without this line the package would
    # make one for the whole machine and start it. Where PostgreSQL was ever configured, that stays.
    if not _CLUSTER_CONFIG.parent.exists():
        _CLUSTER_CONFIG.parent.mkdir(parents=True)
        _CLUSTER_CONFIG.write_text("create_main_cluster = false\n")
