"""What the sources look like: each opens by saying what it is, is short, and knows nothing of any machine."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / "src" / "manyhands").rglob("*.py"))
NATIVE = sorted(path for path in (ROOT / "native").rglob("*.[ch]") if "build" not in path.parts)
OTHERS = [
    path
    for room in ("tests", "benchmarks", "examples", "docs", "native")
    for path in sorted((ROOT / room).rglob("*"))
    if path.suffix in (".py", ".pyi", ".md", ".toml", ".txt", ".jsonl", ".sh") or path.name == "Makefile"
]
TOP = [path for path in sorted(ROOT.iterdir()) if path.suffix in (".py", ".md", ".toml", ".in")]
SOURCES = [*MODULES, *NATIVE, *OTHERS, *TOP]

MACHINE_PATH = re.compile(r"(?<![\w.~*-])/(?:work|root|home/\w+)/")
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 500, 50


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def numbered_lines(path: Path) -> list[tuple[int, str]]:
    return list(enumerate(path.read_text(encoding="utf-8").split("\n"), start=1))


def test_no_source_names_a_place_on_somebodys_machine() -> None:
    found = [
        f"{name(path)}:{number}: {line.strip()}"
        for path in SOURCES
        for number, line in numbered_lines(path)
        if MACHINE_PATH.search(line)
    ]
    assert found == []


def test_no_line_ends_in_white_space() -> None:
    found = [
        f"{name(path)}:{number}"
        for path in SOURCES
        for number, line in numbered_lines(path)
        if line != line.rstrip()
    ]
    assert found == []


def test_every_module_opens_with_a_docstring() -> None:
    found = [
        name(path) for path in MODULES if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


def test_every_native_file_opens_with_a_comment() -> None:
    found = [name(path) for path in NATIVE if not path.read_text(encoding="utf-8").startswith(("/*", "//"))]
    assert found == []


def test_no_module_is_too_long() -> None:
    lengths = {name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {path: length for path, length in lengths.items() if length > MOST_LINES} == {}


def test_no_function_is_too_long() -> None:
    found = [
        f"{name(path)}:{node.lineno}: {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.end_lineno - node.lineno + 1 > MOST_LINES_OF_A_FUNCTION
    ]
    assert found == []


@pytest.mark.parametrize(
    ("line", "names_one"),
    [
        ("see /" + "work/x", True),
        ('"/' + 'root/.cache"', True),
        ("/home/" + "someone/x", True),
        ("docs/" + "work/x", False),
        ("https://example.org/" + "work/x", False),
    ],
)
def test_the_search_for_machine_paths(line: str, names_one: bool) -> None:
    assert bool(MACHINE_PATH.search(line)) is names_one
