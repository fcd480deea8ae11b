"""glibc's own refusal of a kernel, from a real image."""

from __future__ import annotations

import pytest
from guest.conftest import Observe, one_step

from harness.explanations import Certainty
from harness.model.observations import Verdict
from harness.scenarios import causes
from harness.verdicts.explanation import explain, named

pytestmark = pytest.mark.guest


def test_a_c_library_that_refuses_the_kernel_is_named_as_the_cause(observe: Observe) -> None:
    # bullseye's glibc reads the release in statically linked programs, which ldconfig is.
    scenario = one_step("setarch", "x86_64", "--uname-2.6", "/sbin/ldconfig", "-p")
    seen = observe("5.10", "debian-bullseye", scenario)
    assert seen.verdict is Verdict.FAILED
    assert "FATAL: kernel too old" in seen.steps[0].stderr
    assert "for too old" in seen.cause
    assert "the image's C library asks for Linux 3.2.0" in seen.cause
    found = named(explain(seen, causes.load([causes.packaged()])))
    assert found is not None
    assert (found.name, found.certainty) == ("kernel-too-old-for-glibc", Certainty.STATED)
