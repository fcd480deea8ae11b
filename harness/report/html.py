"""The report as one HTML file that opens from disk and asks for nothing else.

Text of unknown origin is made visible first (:mod:`harness.report.plain`) and escaped then: by
Jinja in the page, as JSON without ``<``, ``>`` and ``&`` in its data. A content security policy
names the page's own style and script by their hashes, so that nothing else would run.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
from importlib.resources import files
from itertools import groupby
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from harness.findings import Kind
from harness.report.charts import HEIGHT, WIDTH, charts
from harness.report.contents import ABI, Report, ended, findings_by_cell, lacking, reference
from harness.report.details import Details, Limits
from harness.report.looks import KINDS, LOOKS, NOT_RUN, brief, tone
from harness.report.matrix import note_text
from harness.report.plain import clean, plural
from harness.report.sentences import (
    cause_lines,
    difference_text,
    kernels_text,
    unlike_sentences,
)
from harness.verdicts.enosys import coped_text, describe

BUDGET = 1_900_000
"""Bytes of the file; cells are shown in less detail until it holds."""
_LEVELS = (
    Limits(characters=8000, rows=300),
    Limits(characters=3000, rows=100),
    Limits(characters=1200, rows=40),
    Limits(characters=600, rows=20),
    Limits(characters=300, rows=10),
    Limits(characters=120, rows=4),
)


def render(report: Report, budget: int = BUDGET) -> str:
    """Return the page, in as much detail as ``budget`` bytes allow.

    Where even the least detail is too much for it (several thousand cells) the page is larger.
    """
    page = ""
    for limits in _LEVELS:
        details = Details(report, limits)
        page = _page(report, details.data(), limits if details.cut else None)
        if len(page.encode()) <= budget:
            break
    return page


def _page(report: Report, data: dict[str, Any], cut: Limits | None) -> str:
    environment = _environment()
    style, script = _own("report.css"), _own("report.js")
    kernels = report.run.meta.kernels
    found = report.comparison.findings if report.comparison else ()
    return environment.get_template("report.html").render(
        report=report,
        meta=report.run.meta,
        ended=ended(report.run.meta),
        matrix=report.matrix,
        comparison=report.comparison,
        findings=sorted(
            (finding for finding in found if finding.kind is not Kind.SAME),
            key=lambda finding: list(Kind).index(finding.kind),
        ),
        unlike=unlike_sentences(found),
        same=sum(finding.kind is Kind.SAME for finding in found),
        finding_of=findings_by_cell(report),
        places={cell["id"]: place for place, cell in enumerate(data["cells"])},
        by_image=[
            (image, list(rows))
            for image, rows in groupby(report.matrix.rows, key=lambda row: row.key.image)
        ],
        kinds=_kinds(report),
        drills=_drills(report),
        reference=reference(kernels),
        charts=charts(report.trend),
        chart_size=(WIDTH, HEIGHT),
        cut=cut,
        style=style,
        script=script,
        policy=_policy(style, script),
        data=htmlsafe_json_dumps(data, dumps=_compact),
    )


def _own(name: str) -> Markup:
    """Return a file beside the page's template, which goes into it as it stands."""
    return Markup(files(__package__).joinpath("templates", name).read_text())  # noqa: S704


def _kinds(report: Report) -> list[tuple[str, str, int]]:
    """Return symbol, name and number of each kind of cell that there is."""
    symbols = {cell.kind: LOOKS[cell.rule.verdict].symbol for cell in report.matrix.cells}
    return [(symbols[kind], kind, count) for kind, count in report.matrix.counts.items()]


def _drills(report: Report) -> set[str]:
    """Return the kernels that were made to lack something for practice."""
    seen = report.run.observations
    return {one.kernel for one in seen if one.environment is not None and one.environment.drill}


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    environment.filters.update(
        brief=brief,
        cause_lines=cause_lines,
        command=shlex.join,
        coped=coped_text,
        describe=describe,
        difference=difference_text,
        kernels=kernels_text,
        moment=_moment,
        note=note_text,
        plural=plural,
        tone=tone,
    )
    environment.globals.update(
        abi=ABI, kind_looks=KINDS, lacking=lacking, looks=LOOKS, not_run=NOT_RUN
    )
    return environment


def _visible(value: object) -> object:
    """Make what is no visible character an escape; what is Markup is the package's own."""
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _moment(text: str) -> str:
    """Return an ISO 8601 moment as one reads it: ``2026-11-24 20:30:15 UTC``."""
    return text.replace("T", " ").replace("+00:00", " UTC")


def _policy(*inline: str) -> str:
    """Return a content security policy that allows these texts and nothing else."""
    style, script = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in inline
    )
    return (
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _compact(data: object, **options: Any) -> str:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False, **options)
