"""No shell of the host is given a user's words: programs are started by argument lists."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import harness

SOURCES = sorted(Path(harness.__file__).parent.rglob("*.py"))
SHELLS = {"system", "popen", "getoutput", "getstatusoutput", "create_subprocess_shell"}
STARTERS = {"run", "Popen", "call", "check_call", "check_output", "find", "attend"}


def calls(source: str) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]


def through_a_shell(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    return name in SHELLS or any(word.arg == "shell" for word in call.keywords)


def starts_a_shell(call: ast.Call) -> bool:
    """Tell whether a program is started by name, and its name is a shell's."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in STARTERS:
        return False
    owner = call.func.value
    if not isinstance(owner, ast.Name) or owner.id not in ("process", "subprocess"):
        return False
    words = [node.value for node in ast.walk(call) if isinstance(node, ast.Constant)]
    return bool({"sh", "bash", "/bin/sh", "/bin/bash"} & {w for w in words if isinstance(w, str)})


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("subprocess.run('ls', shell=True)", True),
        ("os.system('ls')", True),
        ("process.run(['sh', '-c', text], limit=1)", True),
        ("process.run(['ls'], limit=1)", False),
        ("guest.run('sh -c ls')", False),
    ],
)
def test_a_shell_would_be_found(source: str, found: bool) -> None:
    (call,) = calls(source)
    assert (through_a_shell(call) or starts_a_shell(call)) is found


def test_no_program_is_started_through_a_shell() -> None:
    assert len(SOURCES) > 100
    bad = [
        f"{path}:{call.lineno}"
        for path in SOURCES
        for call in calls(path.read_text())
        if through_a_shell(call) or starts_a_shell(call)
    ]
    assert bad == []
