"""Whether a step ended and printed as expected."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from harness.model.scenarios import Expect, Step, TextExpect

_TAIL_LINES = 6
_DIFF_LINES = 12
_LINE_LENGTH = 200
_DIFFED_LINES = 400
"""More lines are not compared line by line: it takes time that grows with their square."""


def unmet(
    step: Step, exit: int | None, signal: str | None, stdout: str, stderr: str
) -> tuple[str, ...]:
    """Return the expectations that a step did not meet: one sentence each, then what was seen.

    ``exit`` is None where ``signal`` (a name without SIG) ended the step.
    """
    found = list(_end(step.expect, exit, signal, stderr or stdout))
    found += _text("stdout", step.expect.stdout, stdout)
    found += _text("stderr", step.expect.stderr, stderr)
    return tuple(found)


def _end(expect: Expect, exit: int | None, signal: str | None, output: str) -> Iterator[str]:
    seen = f"ended by SIG{signal}" if signal else f"exit status {exit}"
    if expect.signal is not None and signal != expect.signal:
        yield f"expected to be ended by SIG{expect.signal}, got {seen}{_tail('output', output)}"
    if expect.signal is None and expect.exit is not None and exit != expect.exit:
        yield f"expected exit status {expect.exit}, got {seen}{_tail('output', output)}"


def _text(name: str, expect: TextExpect, text: str) -> Iterator[str]:
    if expect.equals is not None and not _equal(expect.equals, text):
        yield f"{name} is not what was expected:\n{_difference(expect.equals, text)}"
    for wanted in expect.contains:
        if wanted not in text:
            yield f"{name} does not contain {_short(wanted)!r}{_tail(name, text)}"
    for pattern in expect.matches:
        if re.search(pattern, text, re.MULTILINE) is None:
            yield f"{name} does not match {_short(pattern)!r}{_tail(name, text)}"


def _equal(wanted: str, text: str) -> bool:
    return text == wanted or (not wanted.endswith("\n") and text == f"{wanted}\n" and wanted != "")


def _difference(wanted: str, text: str) -> str:
    before, after = wanted.splitlines(), text.splitlines()
    if max(len(before), len(after)) > _DIFFED_LINES:
        same = next(
            (i for i, pair in enumerate(zip(before, after, strict=False)) if len(set(pair)) > 1),
            min(len(before), len(after)),
        )
        before, after = before[same : same + 3], after[same : same + 3]
    if before == after:
        return f"  only line ends differ: expected {_short(wanted)!r}, got {_short(text)!r}"
    lines = list(difflib.unified_diff(before, after, "expected", "got", n=1, lineterm=""))
    shown = [f"  {line[:_LINE_LENGTH]}" for line in lines[:_DIFF_LINES]]
    if len(lines) > _DIFF_LINES:
        shown.append(f"  ... {len(lines) - _DIFF_LINES} more lines")
    return "\n".join(shown)


def _tail(name: str, text: str) -> str:
    """Return the last lines of an output, to follow a sentence."""
    lines = text.rstrip().splitlines()
    if not lines:
        return f"; {name} was empty"
    shown = [f"  {line[:_LINE_LENGTH]}" for line in lines[-_TAIL_LINES:]]
    left = len(lines) - len(shown)
    head = f"; {name} (the last {len(shown)} of {len(lines)} lines):" if left else f"; {name}:"
    return "\n".join([head, *shown])


def _short(text: str) -> str:
    return text if len(text) <= _LINE_LENGTH else f"{text[:_LINE_LENGTH]}..."
