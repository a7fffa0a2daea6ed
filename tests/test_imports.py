"""The house is built in layers: a room imports those below it, never one above, and no circles."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# From the ground up; rooms of one line do not import each other.
LAYERS = (
    ("errors", "numbers", "passwords"),
    ("files", "locks", "console", "libraries"),
    ("losses",),
    ("quantities",),
    ("data",),
    ("models",),
    ("config",),
    ("mace_scf",),
    ("records",),
    ("tracking",),
    ("training",),
    ("search",),
    ("study",),
    ("workers",),
    ("batch_losses", "export"),
    ("report",),
    ("hydra_plugin", "datagen"),
    ("cli",),
)
# ``python -m`` of these is a command: they open a door of ``cli`` and hold nothing else.
DOORS = {"sweep.data.generate", "sweep.export.__main__"}
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
MODULES = [
    path for package in ("losses", "sweep") for path in sorted((ROOT / package).rglob("*.py"))
]


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(path) for path in MODULES}


def room_of(module: str) -> str | None:
    """The room of a module; None for the package itself and the commands that open its doors."""
    parts = module.split(".")
    if module in DOORS:
        return None
    if parts[0] == "losses":
        return "losses"
    return parts[1] if len(parts) > 1 and parts[1] in LEVEL else None


def imports(path: Path, *, at_start: bool = False) -> Iterator[str]:
    """Our own modules that a module imports, also later, inside of functions."""
    tree = ast.parse(path.read_text())
    skipped = {
        id(node)
        for outer in ast.walk(tree)
        if is_for_types(outer) or (at_start and isinstance(outer, ast.FunctionDef | ast.Lambda))
        for node in ast.walk(outer)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            found = [str(node.module)]
            found += [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in found if name in NAMES)


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def test_every_room_has_its_level():
    rooms = {path.name for path in (ROOT / "sweep").iterdir() if (path / "__init__.py").exists()}
    assert rooms - {"__pycache__"} <= LEVEL.keys()


@pytest.mark.parametrize("room", LEVEL)
def test_imports_run_downwards(room):
    upward = [
        f"{name_of(path)} imports {name}"
        for path in MODULES
        if room_of(name_of(path)) == room
        for name in imports(path)
        if (other := room_of(name)) is not None and other != room and LEVEL[other] >= LEVEL[room]
    ]
    assert not upward


def test_no_module_imports_itself_by_a_detour():
    graph = {name_of(path): set(imports(path, at_start=True)) for path in MODULES}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " -> ".join([*above[above.index(name) :], name])
        if name not in done:
            for other in graph[name] - {name}:
                visit(other, (*above, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize(
    ("what", "absent"),
    [
        ("sweep", "torch"),
        ("sweep.records", "torch"),
        ("sweep.records", "optuna"),
        ("sweep.records.writer", "torch"),
        ("sweep.config.checks", "torch"),
        ("sweep.report.compare", "torch"),
        ("sweep.export.winner", "torch"),
        ("sweep.cli.app", "torch"),
        ("sweep.training.job", "torch"),
        ("sweep.study.runner", "torch"),
        ("sweep.study.runner", "wandb"),
        ("sweep.study.runner", "mlflow"),
        ("sweep.study.runner", "tensorboard"),
    ],
)
def test_what_starts_fast_imports_little(what, absent):
    code = f"import sys, {what}; print({absent!r} in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
