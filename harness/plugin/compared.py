"""What a session's comparison came to, with a baseline or an earlier run: made, kept, shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.findings import Comparison
from harness.plugin.comparing import turns, update_known
from harness.plugin.confirming import confirm
from harness.plugin.repeating import observer_lines
from harness.results.runs import RunDir

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

    from harness.plugin.reports import CellReport
    from harness.plugin.session import Session


class Compared:
    """The comparison of the session on whose end it is made; idle unless one is asked for."""

    def __init__(self, session: Session | None) -> None:
        self._session = session
        self.comparison: Comparison | None = None
        self._accepted = ""
        """What was added to the known differences."""

    def confirm(self, cells: Sequence[CellReport], run: RunDir) -> None:
        """Run what findings rest on once more, while guests can still be started."""
        session = self._session
        if session is not None and session.comparing is not None:
            confirm(session, session.comparing, cells, run)

    def conclude(self, cells: Sequence[CellReport], run: RunDir) -> None:
        """Compare, and write down what that came to.

        Raises:
            HarnessError: an earlier run cannot be read, or something cannot be written.
        """
        session = self._session
        if session is None:
            return
        if session.earlier is not None:
            known = {cell.observation.id: cell.entries for cell in cells}
            self.comparison = session.earlier.compare(run.path, lambda one: known.get(one.id, ()))
        elif session.comparing is not None:
            self.comparison = session.comparing.conclude(cells, run.path.name)
        if self.comparison is None:
            return
        run.write_comparison(self.comparison)
        if session.wanted.update_known:
            self._accepted = update_known(session, self.comparison, run.path.name)

    def turns(self, cells: Sequence[CellReport], fail_on: frozenset[str]) -> bool:
        """Tell whether findings turn the exit status."""
        return turns(self.comparison, cells, fail_on)

    def summarise(self, reporter: TerminalReporter, cells: Sequence[CellReport]) -> None:
        """Print what differs, under the matrix."""
        for line in observer_lines(cells):
            reporter.write_line(f"tracing changes a verdict: {line}")
        if self.comparison is None:
            return
        from harness.report.differences import render

        writer = reporter._tw
        encoding = getattr(writer._file, "encoding", "") or ""
        reporter.section(f"differences: {self.comparison.title}")
        text = render(
            self.comparison,
            width=writer.fullwidth,
            colour=writer.hasmarkup,
            unicode=encoding.lower().startswith("utf"),
        )
        reporter.write(text)
        reporter.ensure_newline()
        if self._accepted:
            reporter.write_line(self._accepted)
