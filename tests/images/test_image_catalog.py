"""The catalog of images and its lock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ociimages import Builder, Registry

from harness.errors import ConfigError, UnavailableError, UsageError
from harness.images import catalog
from harness.images.catalog import Recipe
from harness.model.images import ImageConfig
from harness.oci import Reference

DEFAULTS = {
    "debian-bullseye",
    "debian-trixie",
    "python",
    "node",
    "java",
    "redis",
    "postgres",
    "nginx",
    "systemd-tools",
}


def write(directory: Path, text: str) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "catalog.yaml").write_text(text)
    return directory


def test_the_packaged_catalog_needs_no_registry() -> None:
    entries = catalog.load_catalog(catalog.directories())
    assert set(entries) == DEFAULTS
    assert all(isinstance(entry.source, Recipe) for entry in entries.values())


def test_a_users_catalog_adds_and_overrides(tmp_path: Path) -> None:
    own = write(
        tmp_path / "images",
        "images:\n  python: {ref: 'docker://r.example/python:3'}\n  app: {ref: 'oci:built:v1'}\n",
    )
    entries = catalog.load_catalog(catalog.directories(own))
    assert set(entries) == DEFAULTS | {"app"}
    assert str(entries["python"].source) == "docker://r.example/python:3"
    assert str(entries["app"].source) == f"oci:{own / 'built'}:v1"
    assert entries["app"].where == f"{own / 'catalog.yaml'}:3"


def test_a_recipe_has_all_that_it_says(tmp_path: Path) -> None:
    text = """
images:
  tool:
    debian: {suite: trixie, packages: [curl, g++, libc6:amd64], exclude: [/usr/share/x/*]}
    files:
      /etc/motd: hello
      /usr/local/bin/start: {content: "#!/bin/sh\\n", mode: 0755}
    config:
      entrypoint: [start]
      env: {A: 1.10}
      user: "1000"
      workdir: /srv
      volumes: [/data]
      stop_signal: SIGINT
"""
    source = catalog.load_catalog([write(tmp_path, text)])["tool"].source
    assert isinstance(source, Recipe)
    assert source.packages == ("curl", "g++", "libc6:amd64")
    assert [(file.path, file.content, file.mode) for file in source.files] == [
        ("/etc/motd", "hello", 0o644),
        ("/usr/local/bin/start", "#!/bin/sh\n", 0o755),
    ]
    assert source.config == ImageConfig(
        entrypoint=("start",),
        env=("A=1.10",),
        user="1000",
        workdir="/srv",
        volumes=("/data",),
        stop_signal="SIGINT",
    )


@pytest.mark.parametrize(
    ("body", "line", "said"),
    [
        ("{}", 2, "needs one of 'ref' and 'debian'"),
        ("{ref: 'oci:x', debian: {suite: trixie}}", 2, "needs one of 'ref' and 'debian'"),
        ("{ref: redis}", 2, "no reference: write docker://"),
        ("{ref: 'oci:x', config: {cmd: [a]}}", 2, "go with 'debian' only"),
        ("{debian: {suite: trixie}, insecure: true}", 2, "goes with 'ref' only"),
        ("{debian: {suite: trixie, package: [curl]}}", 2, "package"),
        ("{debian: {suite: trixie, packages: ['curl; id']}}", 2, "packages[0]"),
        ("{debian: {suite: trixie, packages: [--force]}}", 2, "packages[0]"),
        ("{debian: {suite: '../x'}}", 2, "suite"),
        ("{debian: {suite: trixie}, files: {/a/../b: x}}", 2, "files"),
        ("{debian: {suite: trixie}, files: {etc/x: x}}", 2, "files"),
        ("{debian: {suite: trixie}, files: {/x: {mode: rwx}}}", 2, "mode in octal"),
        ("{debian: {suite: trixie}, config: {cmd: sh}}", 2, "config.cmd"),
    ],
)
def test_a_wrong_entry_is_named_with_file_line_and_key(
    body: str, line: int, said: str, tmp_path: Path
) -> None:
    directory = write(tmp_path, f"images:\n  broken: {body}\n")
    with pytest.raises(ConfigError) as caught:
        catalog.load_catalog([directory])
    assert str(caught.value).startswith(f"{directory / 'catalog.yaml'}:{line}: images.broken")
    assert said in str(caught.value)


def test_an_unknown_image_is_refused_with_the_known_ones() -> None:
    entries = catalog.load_catalog(catalog.directories())
    with pytest.raises(UsageError, match=r"x.yaml:3: unknown image 'pyton'; known: .*python"):
        catalog.pick(entries, "pyton", where="x.yaml:3")


def test_an_image_by_reference_is_named_after_it(tmp_path: Path) -> None:
    entry = catalog.adhoc("oci:built:v1", base=tmp_path)
    assert (entry.name, str(entry.source)) == ("oci:built:v1", f"oci:{tmp_path}/built:v1")


def test_locking_writes_what_the_registry_has_and_a_changed_reference_is_not_locked(
    builder: Builder, registry: Registry, whiteouts: Any, tmp_path: Path
) -> None:
    made = builder.image(whiteouts)
    text = registry.push(builder.tag(made), "locked:1")
    own = write(
        tmp_path / "images", f"images:\n  app: {{ref: '{text}'}}\n  local: {{ref: 'oci:x'}}\n"
    )
    file = own / "images.lock.yaml"
    assert catalog.lock_images(catalog.load_catalog([own]), file) == {"app": made["digest"]}
    entry = catalog.load_catalog([own])["app"]
    assert isinstance(entry.source, Reference)
    assert entry.locked == made["digest"]
    write(own, f"images:\n  app: {{ref: '{text}2'}}\n")
    assert catalog.load_catalog([own])["app"].locked == ""


def test_a_lock_file_stays_as_it_was_when_a_registry_is_out_of_reach(tmp_path: Path) -> None:
    own = write(tmp_path / "images", "images:\n  app: {ref: 'docker://127.0.0.1:1/a'}\n")
    file = own / "images.lock.yaml"
    file.write_text("images: {}\n")
    with pytest.raises(UnavailableError):
        catalog.lock_images(catalog.load_catalog([own]), file)
    assert file.read_text() == "images: {}\n"


def test_only_a_registrys_image_can_be_locked_by_name(tmp_path: Path) -> None:
    own = write(tmp_path / "images", "images:\n  local: {ref: 'oci:x'}\n")
    with pytest.raises(UsageError, match="nothing to lock"):
        catalog.lock_images(catalog.load_catalog([own]), own / "l.yaml", names=["local"])
