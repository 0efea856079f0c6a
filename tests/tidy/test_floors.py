"""A room imports rooms on lower floors only. See "Rooms and floors" in the architecture.

Every import is read from the source: at the top, inside functions, under TYPE_CHECKING, and by a literal name
given to `import_module`. What a lower floor needs from above must arrive as an argument.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src"
PACKAGE = "manyhands"
NATIVE = "_native"

#: The floor of each room: a package below manyhands, or a module right in it.
FLOORS = {
    "errors": 0, "failures": 0, "abc": 0, "config": 0, "descriptors": 0, "byvalue": 0, "pickling": 0,
    "memory": 1, "process": 1, "scheduler": 1,
    "channel": 2, "wiring": 2,
    "sync": 3, "observe": 3,
    "engines": 4,
    "pool": 5, "manager": 5,
    "actor": 6, "compat": 6, "context": 6, "joblib": 6,
    "search": 7,
    "cli": 8, "__main__": 9,
}  # fmt: skip

#: ``import manyhands`` itself: the public names, which the customers on the floors above use.
PUBLIC_FLOOR = 6.5
#: The search engine's own native part; nobody else's.
STORE = "_search"
MAY_IMPORT_NATIVE = {"memory", "channel", "sync", "process", "engines", "actor"}


@dataclass(frozen=True)
class Import:
    """One import: the room and place that does it, and the full name of what is imported."""

    room: str
    place: str
    target: str

    @property
    def target_room(self) -> str:
        """The room imported from; empty for the package itself."""
        names = self.target.split(".")
        return names[1] if len(names) > 1 and names[1] in (*FLOORS, NATIVE, STORE) else ""

    def __str__(self) -> str:
        return f"{self.place}: {self.room} imports {self.target}"


def room_of(path: Path) -> str:
    """The room that a source file belongs to; empty for the package's own __init__."""
    first = path.relative_to(SOURCE / PACKAGE).parts[0]
    return "" if first == "__init__.py" else first.removesuffix(".py")


def imports_of(path: Path) -> Iterator[Import]:
    """Everything of manyhands that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        for target in targets(node, path):
            if target.partition(".")[0] == PACKAGE:
                line = getattr(node, "lineno", 0)
                yield Import(room_of(path), f"{path.relative_to(SOURCE)}:{line}", target)


def targets(node: ast.AST, path: Path) -> list[str]:
    """The full names that a statement imports, or none."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            above = path.relative_to(SOURCE).parts[: -node.level]
            base = ".".join([*above, *([node.module] if node.module else [])])
        return [f"{base}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name in ("import_module", "__import__") and isinstance(node.args[0].value, str):
            return [node.args[0].value]
    return []


FILES = sorted((SOURCE / PACKAGE).rglob("*.py"))
IMPORTS = [found for path in FILES if room_of(path) for found in imports_of(path)]


def is_allowed(found: Import) -> bool:
    floor = FLOORS.get(found.room, -1)
    if found.target_room == found.room or (floor == 0 and FLOORS.get(found.target_room) == 0):
        return True  # the single modules of the ground floor make one room
    if found.target_room == NATIVE:
        return found.room in MAY_IMPORT_NATIVE
    if found.target_room == STORE:
        return found.room == "search"
    return (FLOORS[found.target_room] if found.target_room else PUBLIC_FLOOR) < floor


def test_every_file_belongs_to_a_room_with_a_floor() -> None:
    assert sorted({room_of(path) for path in FILES} - {*FLOORS, ""}) == []


def test_a_room_imports_rooms_on_lower_floors_only() -> None:
    assert [str(found) for found in IMPORTS if not is_allowed(found)] == []


def test_the_reader_sees_imports_of_every_kind() -> None:
    source = (
        "import manyhands.a\nfrom manyhands import b\ndef f():\n    from . import c\n    from ..d import e\n"
    )
    source += "import_module('manyhands.g')\n"
    path = SOURCE / PACKAGE / "channel" / "imaginary.py"
    seen = {name for node in ast.walk(ast.parse(source)) for name in targets(node, path)}
    assert seen == {f"manyhands.{name}" for name in ("a", "b", "channel.c", "d.e", "g")}


def test_the_rule_refuses_what_it_should() -> None:
    def allowed(room: str, target: str) -> bool:
        return is_allowed(Import(room, "", target))

    assert allowed("channel", "manyhands.memory.arena.Arena")
    assert allowed("channel", "manyhands._native")
    assert allowed("search", "manyhands.Queue")
    assert allowed("pool", "manyhands.pool.map")
    assert allowed("byvalue", "manyhands.errors")
    assert not allowed("memory", "manyhands.channel.ring")
    assert not allowed("memory", "manyhands.process.watch")  # the same floor, another room
    assert not allowed("pool", "manyhands._native")
    assert not allowed("pool", "manyhands.Queue")
