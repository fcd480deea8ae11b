"""A session's cells compared with those of an earlier run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError
from harness.findings import Comparison
from harness.model.causes import KnownCause
from harness.model.observations import Observation
from harness.model.scenarios import Known
from harness.recall import find, recall
from harness.results.runs import load_run
from harness.trace import since
from harness.verdicts.compare import Terms
from harness.verdicts.sides import compare_runs
from harness.verdicts.unlike import Asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """The run that this session is compared with, decided on before it runs."""

    results: Path
    found: str
    """As :func:`harness.recall.find` has it; empty: there is none yet."""
    anyway: bool
    causes: Callable[[], Sequence[KnownCause]]

    def compare(self, run: Path, known: Callable[[Observation], Sequence[Known]]) -> Comparison:
        """Compare a run's cells with the same ones of the earlier run.

        Raises:
            StoreError: one of the runs cannot be read.
        """
        if not self.found:
            nothing = "there is no earlier run that came to its end: nothing was compared"
            return Comparison(title="no earlier run", notes=(nothing,))
        terms = Terms(
            asked=Asked.TIME,
            anyway=self.anyway,
            since=since.load(),
            known=known,
            causes=self.causes(),
        )
        return compare_runs(recall(self.results, self.found), load_run(run), terms)


def earlier_of(
    results: Path,
    name: str,
    causes: Callable[[], Sequence[KnownCause]],
    *,
    anyway: bool,
    own: str = "",
) -> Earlier | None:
    """Return the run to compare with; None: none is asked for.

    ``own`` is the id of the session's run where that was begun before.

    Raises:
        UsageError: there is no such run.
        StoreError: the history cannot be read.
    """
    if not name:
        return None
    try:
        found = find(results, name, besides=own)
        return Earlier(results=results, found=found, anyway=anyway, causes=causes)
    except UsageError as error:
        raise UsageError(f"--compare-run: {error}") from error
