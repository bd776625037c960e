"""What the command line reads from the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DemoModel:
    """A real model that plays the demo instead of the script."""

    base_url: str
    api_key: str
    model: str


@dataclass(frozen=True)
class Settings:
    """The environment as the command line sees it; `cache` is where set-up left its binaries."""

    data: Path
    cache: Path
    url: str | None = None
    api_key: str | None = None
    demo: DemoModel | None = None


def _default_data() -> Path:
    """Whoever works in a checkout that was set up means its data."""
    checkout = Path(__file__).resolve().parents[1] / ".data"
    return checkout if checkout.exists() else Path.home() / ".local/share/rhone"


def read_settings(environment: Mapping[str, str] = os.environ, *, data: Path | None = None) -> Settings:
    told = environment.get("RHONE_DATA")
    home = (data or (Path(told) if told else _default_data())).absolute()
    cache = environment.get("RHONE_CACHE")
    base_url, model = environment.get("RHONE_DEMO_BASE_URL"), environment.get("RHONE_DEMO_MODEL")
    demo = None
    if base_url and model:
        demo = DemoModel(base_url, environment.get("RHONE_DEMO_API_KEY", ""), model)
    return Settings(
        data=home,
        cache=Path(cache).absolute() if cache else home / "cache",
        url=environment.get("RHONE_URL"),
        api_key=environment.get("RHONE_API_KEY"),
        demo=demo,
    )
