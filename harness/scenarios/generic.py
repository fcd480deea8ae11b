"""Scenarios for an image that no scenario names: what can be asked of any image."""

from __future__ import annotations

from harness.model.images import Image
from harness.model.scenarios import Scenario, Service, Step

FILE = "generic"
"""In the place of a file's name."""
TOOLS = "tools"
_WATCH = 10.0
"""Seconds for which the image's own command is watched."""

_PACKAGES = """\
for tool in dpkg apk rpm; do
    command -v $tool >/dev/null || continue
    case $tool in
        dpkg) dpkg --audit && dpkg-query --show >/dev/null ;;
        apk) apk info >/dev/null ;;
        rpm) rpm --query --all >/dev/null ;;
    esac || exit 1
    echo "$tool works"
done
"""
"""Asks each package tool that is there for what is installed, which touches nothing."""


def generic(*images: Image) -> tuple[Scenario, ...]:
    """Return the scenarios: their own command, if all have one; their shell and package tools."""
    names = tuple(image.name for image in images)
    start = Scenario(
        name="start",
        file=FILE,
        line=0,
        images=names,
        steps=(),
        why="The image's own command comes up and stays up, or ends with status 0.",
        service=Service(watch=_WATCH),
        tags=(FILE,),
    )
    tools = Scenario(
        name=TOOLS,
        file=FILE,
        line=0,
        images=names,
        steps=(
            Step(name="shell", run=("sh", "-c", "true")),
            Step(name="packages", run=("sh", "-c", _PACKAGES)),
        ),
        why="The image's shell and its package tools work.",
        tags=(FILE,),
    )
    runs = all(image.config.entrypoint or image.config.cmd for image in images)
    return (start, tools) if runs else (tools,)
