from __future__ import annotations

import re
from pathlib import Path

import pytest
from observations import environment, observation

from harness.verdicts.normalise import RULES, messages_of, normaliser

DOCS = Path(__file__).parents[2] / "docs" / "differences.md"
NORMALISE = normaliser(observation())


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("on 5.10.0-35-cloud-amd64", "on <release>"),
        ("#1 SMP Debian 5.10.223-1 (2024-08-10) x86_64", "<build> x86_64"),
        ("#1 SMP PREEMPT_DYNAMIC Tue Jun 3 10:00:00 UTC 2025", "<build>"),
        ("deadbeef-1234-1234-1234-123456789abc", "<uuid>"),
        ("at 0x7ffdc0a8 and ffffffff81000000", "at <address> and <address>"),
        ("pid 44, PID: 45", "pid <pid>, PID: <pid>"),
        ("sshd[33]: hello", "sshd[<pid>]: hello"),
        ("<time> UTC [72] LOG:  ready", "<time> UTC [<pid>] LOG:  ready"),
        ("2#17: SIGHUP received from 82", "<pid>: SIGHUP received from <pid>"),
        ("18:C 24 Nov 2026 23:59:29.557 * saved", "<pid>:C <time> * saved"),
        ("40073AD25C7F0000:error:03", "<thread>:error:03"),
        ("/proc/33/fd", "/proc/<pid>/fd"),
        ("/tmp/tmp.aB3dE6fG9h", "/tmp/<temporary>"),
        ("/data/tmpab_cdefg and tmp0bcdefgh", "/data/<temporary> and <temporary>"),
        ("/tmp/build.Xy12ab", "/tmp/build.<temporary>"),
        ("[    1.234567] up", "[<uptime>] up"),
        ("real 0m0.003s at 12 MB/s in 5.1 ms", "real <duration> at <duration> in <duration>"),
        ("2026-11-24T20:31:15.123Z", "<time>"),
        ("2026/11/24 20:31:15 [notice]", "<time> [notice]"),
        ("Tue Nov 24 22:42:01 UTC 2026", "<time>"),
        ("-rw-r--r-- Nov 24 22:42 file", "-rw-r--r-- <time> file"),
        ("1795560000", "<time>"),
        ("10:11:12", "<time>"),
    ],
)
def test_what_is_never_the_same_twice_is_replaced(text: str, normal: str) -> None:
    assert NORMALISE(text) == normal


@pytest.mark.parametrize(
    "text",
    [
        "2020-02-02 02:02:02.123456789 +0000",
        "1580608922",
        "write 100000 640 true",
        "0x1f 0640 2751",
        "12:34:56:78:9a:bc",
        "tmpfs on /tmp, /tmp/template and /tmp/output_file",
        "8 bytes, 3 files, [1] and 3:4",
        "sha256 40660eb2607934662e17da6d7fc06f3f4ce4a23ae9d02d5d8684eaa9c1d299cf",
        "2026-99-99",
    ],
)
def test_content_is_left_alone_among_it_times_that_are_not_the_cells_own(text: str) -> None:
    assert NORMALISE(text) == text


def test_a_scenarios_rules_follow_the_built_in_ones_and_know_groups() -> None:
    normalise = normaliser(observation(), [(r"^worker (\w)\d+ at <time>$", r"worker \1 some time")])
    assert normalise("head\nworker a7 at 10:11:12") == "head\nworker a some time"


def test_each_side_has_its_own_release_replaced() -> None:
    for release in ("5.10.0-35-cloud-amd64", "7.3.4+deb13-cloud-amd64"):
        cell = observation(environment=environment(release=release))
        assert normaliser(cell)(f"Linux {release} x86_64") == "Linux <release> x86_64"


def test_a_cell_that_never_ran_is_normalised_as_well() -> None:
    assert normaliser(observation(environment=None, started=""))("at 10:11:12") == "at <time>"


def test_a_kernel_message_that_repeats_is_one() -> None:
    cell = observation(messages=("cgroup: fork rejected", "cgroup: fork rejected", "at 0x7ffd1234"))
    assert messages_of(cell, normaliser(cell)) == ("cgroup: fork rejected", "at <address>")


def test_the_documentation_lists_every_rule() -> None:
    rows = re.findall(r"^\| ([^|]+?) \| `<", DOCS.read_text(), flags=re.MULTILINE)
    assert rows == ["the kernel's release", *(rule.title for rule in RULES), "the clock"]


@pytest.mark.parametrize(
    "line",
    [
        "hrtimer: interrupt took 5718244 ns",
        "perf: interrupt took too long (2510 > 2500), lowering kernel.perf_event_max_sample_rate",
        "clocksource: Marking clocksource 'tsc' as unstable because the skew is too large:",
    ],
)
def test_messages_of_the_machines_load_are_not_compared(line: str) -> None:
    cell = observation(messages=(line, "cgroup: fork rejected"))
    assert messages_of(cell, normaliser(cell)) == ("cgroup: fork rejected",)
