"""The agent of the boxes, as set-up sees it."""

import importlib
import importlib.util
from pathlib import Path
from typing import Any


def agent_path(cache: Path) -> Path:
    module: Any = _module()
    return module.agent_path(cache) if module else Path(__file__)


def source_dir() -> Path:
    module: Any = _module()
    return module.source_dir()


def _module() -> Any:
    if importlib.util.find_spec("targets.agent_binary") is None:
        return None
    return importlib.import_module("targets.agent_binary")
