from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_macros_that_the_hosts_rpm_alone_understands_are_no_concern(tmp_path: Path) -> None:
    for name in ("rpmrc", "macros"):
        (tmp_path / name).write_text("%broken() %{expand: never ends\n")
    code = "import os, harness.packages.createrepo as c; print(os.environ['RPM_CONFIGDIR'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "RPM_CONFIGDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == (f"{tmp_path}\n", "")
