from __future__ import annotations

import json
from pathlib import Path

import jsonschema
from observations import observation, redis_broken, schema
from recorded import compared, nasty, record

from harness.findings import Kind
from harness.model.observations import Verdict
from harness.report.contents import load
from harness.report.document import REPORT_SCHEMA, Document, document, render
from harness.results.codec import decode, schema_of


def test_the_committed_schema_is_current_and_names_its_version() -> None:
    assert schema("report") == schema_of(Document)
    assert schema("report")["properties"]["schema"] == {"const": REPORT_SCHEMA}


def test_what_is_written_fits_the_schema_and_is_read_back(tmp_path: Path) -> None:
    good, bad = redis_broken("latest", verdict=Verdict.PASSED), redis_broken()
    for cells, comparison in (((good, bad), compared(good, bad)), (nasty(), None)):
        report = load(record(tmp_path, cells, comparison))
        data = render(report)
        jsonschema.Draft202012Validator(schema("report")).validate(json.loads(data))
        assert decode(Document, data) == document(report)


def test_a_row_has_the_cells_that_there_are_and_their_files(tmp_path: Path) -> None:
    good, bad = redis_broken("latest", verdict=Verdict.PASSED), redis_broken()
    path = record(tmp_path, [good, bad, observation("5.10")], compared(good, bad))
    told = document(load(path))
    rows = {row.scenario: row for row in told.rows}
    assert [cell.kernel for cell in rows["tmpfiles"].cells] == ["5.10"]
    cells = {cell.kernel: cell for cell in rows["bgsave"].cells}
    assert cells["5.10"].outcome == "failed with 1 ENOSYS"
    assert (cells["5.10"].finding, cells["latest"].finding) == (Kind.BROKEN, None)
    assert all((path / cell.file).is_file() for row in told.rows for cell in row.cells)
    [enosys] = told.enosys
    assert enosys.syscall == "epoll_pwait2"
    assert set(enosys.kernels) == {"5.10", "latest"}
