"""Sizes that keep the code pleasant to read, and imports that never go round in a circle."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import kizu

SOURCE = Path(kizu.__file__).parent
TESTS = Path(__file__).parents[1]
FILES = sorted(SOURCE.rglob("*.py"))

FILE_LINES = 300
CLI_FUNCTION_LINES, CLI_PARAMETERS, PARAMETERS = 60, 10, 8
TEST_SHARE = 0.7
"""Lines of tests for each line of source."""


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef))


def lines(path: Path) -> int:
    return path.read_text().count("\n")


def test_no_file_is_long() -> None:
    assert {path.name: lines(path) for path in FILES if lines(path) > FILE_LINES} == {}


def test_no_function_takes_many_parameters() -> None:
    found = {}
    for path in FILES:
        limit = CLI_PARAMETERS if path.parent.name == "cli" else PARAMETERS
        for function in functions(path):
            names = [
                a.arg for a in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
            ]
            count = len([name for name in names if name not in ("self", "cls")])
            if count > limit:
                found[f"{path.name}:{function.name}"] = count
    assert found == {}


def test_no_function_of_the_command_line_is_long() -> None:
    found = {
        f"{path.name}:{function.name}": (function.end_lineno or 0) - function.lineno + 1
        for path in FILES
        if path.parent.name == "cli"
        for function in functions(path)
    }
    assert {name: length for name, length in found.items() if length > CLI_FUNCTION_LINES} == {}


def module_of(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path, known: frozenset[str]) -> set[str]:
    """The modules of ours that a file imports, inside functions too; what only a type checker reads does not count."""
    tree = ast.parse(path.read_text())
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            below = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (below & known) or {node.module}
    return (found & known) - {module_of(path)}


def test_no_import_goes_round_in_a_circle_inside_functions_either() -> None:
    known = frozenset(map(module_of, FILES))
    graph = {module_of(path): imports_of(path, known) for path in FILES}
    state: dict[str, int] = {}

    def visit(module: str, trail: tuple[str, ...]) -> None:
        if state.get(module) == 1:
            pytest.fail(" -> ".join((*trail[trail.index(module) :], module)))
        if module not in state:
            state[module] = 1
            for other in sorted(graph[module]):
                visit(other, (*trail, module))
            state[module] = 2

    for module in sorted(graph):
        visit(module, ())


def test_there_are_enough_tests() -> None:
    ours = sum(map(lines, TESTS.rglob("*.py")))
    assert ours >= TEST_SHARE * sum(map(lines, FILES))
