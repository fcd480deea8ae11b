"""A score in the terminal, and the page of known breakages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.model.cases import Case, Effect
from harness.report.markdown import escaped, table
from harness.report.plain import clean, listed, plural
from harness.verdicts.score import (
    TARGET,
    Mark,
    Score,
    Scored,
    Tally,
    by_kind,
    complete,
    per_cent,
    reached,
    tally,
)

COLUMNS = ["kind", "cases", "found", "right", "wrong", "missed", "false findings", "not tried"]
_TOTAL = "all"

_HEAD = """\
# Known breakages

Written by `harness score --page docs/known-breakages.md` from
[known-breakages.json](known-breakages.json), the last score, and the cases of `scenarios/known/`:
do not edit. [scenarios.md](scenarios.md#cases-of-documented-breakage) tells how a case is written.

Each case is a documented thread, an image of real programs that hit it by themselves, and the
hosts on which it breaks, degrades and works. A case on one host is *found* when its cell shows what
the thread tells, *right* when the cause that the harness names by itself is the thread's, *missed*
when it does not show, and a *false finding* when something is named, or fails, where it works.
"""


def score_rows(score: Score) -> list[list[str]]:
    """Return the table of a score: a row a kind, all kinds, and what counts apart."""
    mine = [cell for cell in score.cells if not cell.apart]
    apart = [cell for cell in score.cells if cell.apart]
    tallies = [*by_kind(mine), tally(_TOTAL, mine)]
    if apart:
        tallies.append(tally("apart: kernels supplied by hand", apart))
    return [_row(one) for one in tallies]


def verdict_lines(score: Score) -> list[str]:
    """Return what is not as it should be, and whether the score is reached, in sentences."""
    mine = [cell for cell in score.cells if not cell.apart]
    total = tally(_TOTAL, mine)
    lines = [_told(cell) for cell in score.cells if cell.mark not in (Mark.RIGHT, Mark.CLEAN)]
    lines.append(
        f"{per_cent(total):.1f} % of {total.shows} found with the right cause "
        f"(wanted: {TARGET:g} %), {plural(total.false, 'false finding')} on "
        f"{plural(total.false + total.clean, 'host')} where it works"
        + (f"; {plural(total.absent, 'cell')} could not be tried" if total.absent else "")
    )
    said = "reached" if reached(score) else "NOT REACHED"
    lines.append(said if complete(score) else f"NOT COMPLETE; of what was tried: {said}")
    return lines


def page(score: Score, cases: Sequence[Case]) -> str:
    """Return ``docs/known-breakages.md``: the score, and every case with what came of it."""
    cells = {(cell.case, cell.host): cell for cell in score.cells}
    blocks = [_HEAD, "\n".join(_score(score)), *("\n".join(_case(one, cells)) for one in cases)]
    return "\n".join(f"{block.rstrip()}\n" for block in blocks)


def _row(one: Tally) -> list[str]:
    found = f"{one.found} of {one.shows}"
    false = f"{one.false} of {one.false + one.clean}"
    counts = (one.right, one.wrong, one.missed)
    return [one.kind, str(one.cases), found, *map(str, counts), false, str(one.absent)]


def _told(cell: Scored) -> str:
    return clean(f"{cell.case} on {cell.host}: {cell.mark.value}: {cell.why}")


def _score(score: Score) -> Iterator[str]:
    yield "## The last score"
    yield ""
    yield (
        f"{score.started[:10]}, {score.accelerator}, {plural(len(score.cells), 'cell')}. Hosts: "
        + escaped(", ".join(f"{name} ({release})" for name, release in score.releases.items()))
        + "."
    )
    yield ""
    yield from table(COLUMNS, (map(escaped, row) for row in score_rows(score)))
    yield ""
    yield from (f"- {escaped(line)}" for line in verdict_lines(score))


def _case(case: Case, cells: dict[tuple[str, str], Scored]) -> Iterator[str]:
    yield f"## {case.name}"
    yield ""
    yield escaped(case.scenario.why)
    yield ""
    yield f"{case.kind}; image `{case.image}`; {listed(_link(text) for text in case.references)}"
    yield ""
    rows = []
    for expected in case.expected:
        for host in expected.hosts:
            cell = cells.get((case.name, host))
            effect = expected.effect.value
            wanted = f"{effect}: {expected.cause}" if expected.cause else effect
            rows.append([host, wanted, *(_came_of(cell) if cell else ("not in the score", ""))])
    yield from table(["host", "known", "score", "named"], (map(escaped, row) for row in rows))


def _came_of(cell: Scored) -> tuple[str, str]:
    said = cell.mark.value + (f": {cell.why}" if cell.why else "")
    return said, cell.named or ("nothing" if cell.effect is Effect.WORKS else "")


def _link(reference: str) -> str:
    if reference.startswith("https://"):
        return f"<{reference}>"
    repository, _, number = reference.partition("#")
    return f"[{reference}](https://github.com/{repository}/issues/{number})"
