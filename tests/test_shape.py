"""The shape of the code: sizes, names and places that a reader may rely on."""

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("protocol", "capabilities", "harness", "workflows", "targets", "providers", "records")
PROCESSES = ("worker", "gateway", "cli", "bench")
LONGEST = 400
ONE_FILE = {"cli/rhone_verify.py": 700}
"""What is handed to others as one file, so that it can be read and run without anything else of ours."""
FORBIDDEN = frozenset({"utils", "helpers", "common", "misc", "base", "manager"})


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file()]


def product() -> list[Path]:
    return tracked(*(f"{package}/**.py" for package in (*PACKAGES, *PROCESSES)))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """The statements and expressions that the rules below look at."""
    looked_at = (ast.ImportFrom, ast.ExceptHandler, ast.Attribute)
    return tuple(node for node in ast.walk(tree(path)) if isinstance(node, looked_at))


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_file_is_longer_than_its_limit() -> None:
    files = [*tracked("*.py", "*.go"), *tracked("tools/*")]
    code = [path for path in files if path.suffix in (".py", ".go", "") and "versions" not in path.parts]
    long = {shown(path): len(path.read_text().splitlines()) for path in code}
    assert {name: lines for name, lines in long.items() if lines > ONE_FILE.get(name, LONGEST)} == {}


def test_no_file_or_folder_has_a_name_that_says_nothing() -> None:
    parts = {part.removesuffix(".py") for path in product() for part in path.relative_to(ROOT).parts}
    assert parts & FORBIDDEN == set()


def test_an_init_holds_one_docstring_and_nothing_else() -> None:
    wrong = [
        shown(path)
        for path in product()
        if path.name == "__init__.py" and [type(node) for node in tree(path).body] != [ast.Expr]
    ]
    assert wrong == []


def test_every_module_begins_with_a_docstring() -> None:
    silent = [shown(path) for path in product() if not ast.get_docstring(tree(path))]
    assert [name for name in silent if "migrations/versions" not in name] == []


def test_imports_are_absolute() -> None:
    relative = [
        shown(path)
        for path in product()
        for node in nodes(path)
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


def test_only_a_main_catches_everything() -> None:
    broad = [
        shown(path)
        for path in product()
        if path.name != "main.py"
        for node in nodes(path)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id == "Exception"))
    ]
    assert broad == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_layer_below_the_processes_reads_the_environment(package: str) -> None:
    readers = [
        shown(path)
        for path in tracked(f"{package}/**.py")
        for node in nodes(path)
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    ]
    assert readers == []


def test_nothing_names_this_machine() -> None:
    texts = tracked("*.py", "*.md", "*.toml", "*.go", "Makefile", "tools/*", ".ci/*", "*.yml")
    place = re.compile(r"(?<![\w*])/(?:work|root|farm)/")
    assert [shown(path) for path in texts if place.search(path.read_text())] == []
