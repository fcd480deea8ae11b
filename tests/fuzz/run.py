"""Fuzz the readers of outside data for a while each, led by coverage (atheris).

    pip install -e '.[fuzz]'
    python tests/fuzz/run.py [--seconds N] [--corpus DIR] [TARGET ...]

Ends with status 1 when a reader raised anything but the project's own errors; the input then lies
in ``DIR/TARGET/crash-*``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1])]

SLOW = 10
"""Seconds that one input may take."""
MEMORY = 2048
"""MiB that reading one input may take."""


def fuzz(name: str, seconds: int, corpus: Path) -> None:
    """Fuzz one reader in this process, which libFuzzer then ends."""
    import atheris  # optional, and only here

    with atheris.instrument_imports(include=["harness"]):
        from fuzz.targets import TARGETS

        from harness.errors import HarnessError
    target = TARGETS[name]
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)

    def once(data: bytes) -> None:
        try:
            target.read(data)
        except HarnessError:
            return

    options = (
        f"-max_total_time={seconds}",
        f"-timeout={SLOW}",
        f"-rss_limit_mb={MEMORY}",
        f"-artifact_prefix={corpus}/",
        "-verbosity=0",
    )
    atheris.Setup([sys.argv[0], *options, str(corpus)], once)
    atheris.Fuzz()


def main() -> int:
    """Fuzz each of the named readers, or all, in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=30, help="for each reader")
    parser.add_argument("--corpus", type=Path, default=Path(".fuzz"))
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    given = parser.parse_args()
    if given.inside:
        fuzz(given.targets[0], given.seconds, given.corpus)
        return 0

    from fuzz.targets import TARGETS  # not before: atheris instruments what is imported

    unknown = set(given.targets) - set(TARGETS)
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    bad = []
    for name in given.targets or TARGETS:
        words = ["--inside", f"--seconds={given.seconds}", f"--corpus={given.corpus / name}", name]
        done = subprocess.run([sys.executable, __file__, *words], check=False)
        sys.stdout.write(f"{name}: {'no find' if done.returncode == 0 else 'FIND'}\n")
        sys.stdout.flush()
        if done.returncode != 0:
            bad.append(name)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
