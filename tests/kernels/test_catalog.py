from __future__ import annotations

from pathlib import Path

import pytest
from aptarchive import bzimage, yaml

from harness.errors import ConfigError, UsageError
from harness.kernels import catalog
from harness.kernels.schema import AptForm
from harness.model.hosts import AptSource, Cgroup, Engine, LocalSource, OciSource, RpmSource

BASE = """
    defaults:
      memory: 512
      sysctl:
        kernel.pid_max: 4096
    kernels:
      5.10:
        source: {type: apt, bases: [http://a.example/debian], suite: bullseye}
        tags: [lts]
        memory: 256
        sysctl:
          vm.swappiness: 0
    """


def written(directory: Path, text: str) -> Path:
    directory.mkdir(exist_ok=True)
    file = directory / "catalog.yaml"
    file.write_text(yaml(text))
    return file


def test_the_packaged_catalog_has_the_four_kernels() -> None:
    files = [path / catalog.CATALOG_FILE for path in catalog.directories()]
    entries = {entry.name: entry for entry in catalog.load_catalog(files)}
    assert list(entries)[:4] == ["5.10", "6.1", "6.12", "latest"]
    assert [name for name, entry in entries.items() if "default" in entry.tags] == ["latest"]
    assert {"5.10", "6.1", "6.12"} <= {n for n, entry in entries.items() if "lts" in entry.tags}
    assert all(entries[name].flavour == "cloud" for name in list(entries)[:4])
    latest = entries["latest"].source
    assert isinstance(latest, AptSource)
    assert latest.suite == "trixie-backports"


def test_an_entry_has_the_defaults_for_what_it_leaves_out(tmp_path: Path) -> None:
    (entry,) = catalog.load_catalog([written(tmp_path, BASE), tmp_path / "missing.yaml"])
    assert entry.name == "5.10"
    assert entry.memory == 256
    assert entry.sysctl == {"kernel.pid_max": "4096", "vm.swappiness": "0"}
    assert (entry.cgroup, entry.engine, entry.flavour) == (None, Engine.PODMAN, "cloud")
    assert entry.where == f"{tmp_path / 'catalog.yaml'}:6"


def test_a_users_catalog_extends_and_overrides_key_by_key(tmp_path: Path) -> None:
    packaged = written(tmp_path / "packaged", BASE)
    mine = written(
        tmp_path / "mine",
        """
        defaults: {cpus: 2, memory: 2048}
        kernels:
          5.10: {cmdline: quiet, cgroup: v1}
          mine:
            source: {type: local, image: build/bzImage}
            engine: docker
        """,
    )
    old, new = catalog.load_catalog([packaged, mine])
    assert (old.memory, old.cmdline, old.cgroup, old.cpus) == (256, "quiet", Cgroup.V1, 2)
    assert old.tags == ("lts",)
    assert isinstance(old.source, AptSource)
    assert (new.name, new.memory, new.engine) == ("mine", 2048, Engine.DOCKER)
    assert new.source == LocalSource(image=tmp_path / "mine/build/bzImage")


def test_every_kind_of_source_is_accepted(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        """
        kernels:
          a: {source: {type: rpm, bases: [https://r.example/x], packages: [kernel], keys: [k]}}
          b: {source: {type: oci, ref: docker://example.org/kernel:1}}
          c: {source: {type: local, image: /boot/vmlinuz, modules: lib}}
          d:
            flavour: generic
            source:
              type: apt
              bases: [file:///srv/debian]
              suite: s
              accept_expired: true
        """,
    )
    a, b, c, d = (entry.source for entry in catalog.load_catalog([file]))
    assert isinstance(a, RpmSource)
    assert b == OciSource(ref="docker://example.org/kernel:1")
    assert c == LocalSource(image=Path("/boot/vmlinuz"), modules=tmp_path / "lib")
    assert isinstance(d, AptSource)
    assert d.accept_expired


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("kernels:\n  a:\n    memry: 1\n", r":3: kernels\.a\.memry: unknown key; did you mean 'me"),
        ("kernels:\n  a:\n    memory: much\n", r":3: kernels\.a\.memory: expected a whole number"),
        ("kernels:\n  a:\n    cgroup: v3\n", r":3: kernels\.a\.cgroup: expected 'v1', 'v2' or 'h"),
        ("kernels:\n  a: {memory: 512}\n", r":2: kernels\.a\.source: is required"),
        ("kernels:\n  a: [\n", r"catalog\.yaml:\d: not valid YAML"),
        ("kernels:\n  a..b: {}\n", r":2: kernels\.a\.\.b"),
        ("kernel: {}\n", r":1: kernel: unknown key; did you mean 'kernels'"),
        (
            "kernels:\n  a:\n    source: {type: apt, bases: [ftp://x], suite: s}\n",
            r":3: kernels\.a\.source\.bases\[0\]",
        ),
        (
            "kernels:\n  a:\n    source: {type: appt}\n",
            r":3: kernels\.a\.source.*'apt'",
        ),
        (
            "kernels:\n"
            "  a: {aliases: [x], source: {type: oci, ref: docker://r/x}}\n"
            "  b: {aliases: [x], source: {type: oci, ref: docker://r/x}}\n",
            r":3: kernels\.b\.aliases: 'x' is already a name of the kernel 'a'",
        ),
        (
            "kernels:\n  all: {source: {type: oci, ref: docker://r/x}}\n",
            r":2: kernels\.all: 'all' means every kernel",
        ),
    ],
)
def test_a_mistake_is_told_with_file_line_and_key(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "catalog.yaml").write_text(text)
    with pytest.raises(ConfigError, match=problem):
        catalog.load_catalog([tmp_path / "catalog.yaml"])


def test_mirrors_are_read_and_checked(tmp_path: Path) -> None:
    packaged = [path / catalog.MIRRORS_FILE for path in catalog.directories()]
    assert catalog.load_mirrors([*packaged, tmp_path / "missing"]) == {}
    file = tmp_path / "mirrors.yaml"
    file.write_text("mirrors:\n  http://a/debian: http://b/debian\n")
    assert catalog.load_mirrors([file]) == {"http://a/debian": "http://b/debian"}
    file.write_text("mirrors:\n  http://a/debian: b\n")
    with pytest.raises(ConfigError, match=r"mirrors\.yaml:2: "):
        catalog.load_mirrors([file])


def test_an_ad_hoc_kernel_is_an_entry_of_its_own(tmp_path: Path) -> None:
    image = tmp_path / "bzImage"
    image.write_bytes(bzimage("6.18.0-rc1"))
    entry = catalog.parse_adhoc(f"mine={image},modules={tmp_path}")
    assert entry.name == "mine"
    assert entry.source == LocalSource(image=image, modules=tmp_path)
    assert catalog.parse_adhoc(f"mine={image}").source == LocalSource(image=image)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("mine", r"expected NAME=PATH/bzImage\[,modules=DIR\]"),
        ("=x", "expected NAME=PATH"),
        ("a b=x", "'a b' is not a name"),
        ("all=x", "cannot be named 'all'"),
        ("a=missing", "missing cannot be read: No such file"),
        ("a=pyproject.toml", r"pyproject\.toml is not a bzImage"),
        ("a=x,modules=missing", "missing is not a directory"),
        ("a=x,module=y", "unknown 'module=y'; the only option is modules=DIR"),
    ],
)
def test_a_mistake_in_an_ad_hoc_kernel_is_one_line(text: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem) as caught:
        catalog.parse_adhoc(text)
    assert "\n" not in str(caught.value)


def test_the_plain_source_has_every_field_of_its_form() -> None:
    form = AptForm(
        type="apt",
        bases=("http://a",),
        suite="s",
        components=("main", "extra"),
        keyring="k",
        accept_expired=True,
    )
    assert form.source(Path()) == AptSource(
        bases=("http://a",),
        suite="s",
        components=("main", "extra"),
        keyring="k",
        accept_expired=True,
    )
