from __future__ import annotations

from observations import failure, observation, redis_broken, step

from harness.findings import Kind
from harness.model.observations import Observation, Verdict
from harness.scenarios.accepted import Accepted, of_cell
from harness.verdicts.acceptance import proposals
from harness.verdicts.compare import Terms, compare
from harness.verdicts.views import Recorded


def kind_with(before: Observation, after: Observation, entries: tuple[Accepted, ...]) -> Kind:
    known = of_cell(entries, after.scenario, after.image)
    terms = Terms(known=lambda one: [e for e in known if e.kernels == one.kernel])
    return compare(Recorded(observation=before), Recorded(observation=after), terms).kind


def proposed(before: Observation, after: Observation) -> tuple[Accepted, ...]:
    finding = compare(Recorded(observation=before), Recorded(observation=after), Terms())
    return proposals([finding], "2026-11-25, run r")


def test_what_is_proposed_covers_the_finding_it_is_for() -> None:
    fine = redis_broken("latest", verdict=Verdict.PASSED, reason="", failures=(), ends=())
    pairs = [
        (fine, redis_broken("5.10")),
        (observation("latest"), observation("5.10", verdict=Verdict.FAILED)),
        (observation("latest"), observation("5.10", failures=(failure(),))),
        (observation("5.10", failures=(failure(),)), observation("latest")),
        (
            observation("latest", failures=(failure(errno="EINVAL"),)),
            observation("5.10", failures=(failure(),), messages=("oom",)),
        ),
        (observation("latest"), observation("5.10", steps=(step(stdout="b", stderr="c"),))),
    ]
    for before, after in pairs:
        assert kind_with(before, after, ()) is not Kind.SAME
        assert kind_with(before, after, proposed(before, after)) is Kind.SAME


def test_a_proposal_is_of_the_kernel_the_scenario_and_the_image_alone_and_says_when() -> None:
    [entry] = proposed(observation("latest"), observation("5.10", failures=(failure(),)))
    assert (entry.scenario, entry.image) == ("tmpfiles", "systemd-tools")
    assert entry.known.kernels == "5.10"
    assert entry.known.reason == "to be reviewed: degraded against latest, 2026-11-25, run r"


def test_a_reference_with_a_glob_in_it_is_taken_literally() -> None:
    odd = "oci:images/[a]*"
    cells = (observation("latest", image=odd), observation("5.10", image=odd, messages=("x",)))
    [entry] = proposed(*cells)
    assert entry.applies("tmpfiles", odd)
    assert not entry.applies("tmpfiles", "oci:images/ab")


def test_nothing_is_proposed_where_nothing_was_learnt() -> None:
    assert not proposed(observation("latest"), observation("5.10", verdict=Verdict.DIED))
