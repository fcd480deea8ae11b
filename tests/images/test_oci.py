"""References, and images brought in from a real registry."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ociimages import Builder, Registry

from harness import oci, oci_layers, oci_layout
from harness.errors import HarnessError, ImageError, ToolError, UnavailableError, UsageError
from harness.oci_limits import Limits

Layers = tuple[tuple[bytes, str], ...]


@pytest.mark.parametrize(
    ("text", "place", "tag", "digest"),
    [
        ("docker://docker.io/library/redis:7", "docker.io/library/redis", "7", ""),
        ("docker://redis:7", "redis", "7", ""),
        ("docker://r.example:5000/my_app:7", "r.example:5000/my_app", "7", ""),
        ("docker://[::1]:5000/a/b", "[::1]:5000/a/b", "", ""),
        (f"docker://r.example/a:1@sha256:{'0' * 64}", "r.example/a", "1", f"sha256:{'0' * 64}"),
        ("oci:layout:v1", "/base/layout", "v1", ""),
        ("docker-archive:/x/y.tar", "/x/y.tar", "", ""),
    ],
)
def test_a_reference_is_taken_apart(text: str, place: str, tag: str, digest: str) -> None:
    found = oci.reference(text, base=Path("/base"))
    assert (found.place, found.tag, found.digest) == (place, tag, digest)


@pytest.mark.parametrize(
    "text",
    ["redis", "docker:redis", "docker://Redis space", "oci:", "tarball:x", "docker://a/b:1\n", "",
     "docker://--help x", "oci:a\x1b[31m"],
)  # fmt: skip
def test_what_is_no_reference_is_refused_with_the_three_forms(text: str) -> None:
    with pytest.raises(UsageError, match=r"docker://.*oci:DIR.*docker-archive:FILE"):
        oci.reference(text, base=Path("/base"))


@pytest.mark.parametrize(
    ("text", "insecure"),
    [
        ("docker://127.0.0.1:5000/a", True),
        ("docker://localhost/a", True),
        ("docker://[::1]:5000/a", True),
        ("docker://127.0.0.1.example.com/a", False),
        ("docker://localhost.example.com/a", False),
        ("docker://registry.example/a", False),
    ],
)
def test_only_the_loopback_is_spoken_to_without_tls(text: str, insecure: bool) -> None:
    assert oci.reference(text, base=Path("/")).insecure is insecure


def pulled(text: str, target: Path) -> tuple[oci.Resolved, oci_layout.Layout]:
    found = oci.resolve(oci.reference(text, base=target.parent))
    oci.pull(found.source, target)
    return found, oci_layout.read(target, text)


def test_layers_of_gzip_and_zstd_come_in_whole(
    builder: Builder, registry: Registry, whiteouts: Layers, tmp_path: Path
) -> None:
    made = builder.image(whiteouts, config={"Entrypoint": ["/x"], "Env": ["A=1"], "User": "7:8"})
    text = registry.push(builder.tag(made), "layers:1")
    found, layout = pulled(text, tmp_path / "in")
    assert found.manifest == layout.digest == made["digest"]
    assert layout.config.entrypoint == ("/x",)
    assert layout.config.env == ("A=1",)
    assert layout.config.user == "7:8"
    tars = []
    for layer in layout.layers:
        file = tmp_path / "layer"
        with file.open("wb") as out:
            oci_layers.uncompressed(layout, layer, out, limit=1 << 20)
        tars.append(file.read_bytes())
    assert tars == [tar for tar, _ in whiteouts]


def test_of_several_platforms_linux_amd64_is_taken(
    builder: Builder, registry: Registry, whiteouts: Layers, tmp_path: Path
) -> None:
    amd64 = builder.image(whiteouts)
    arm64 = builder.image(whiteouts[:1], architecture="arm64")
    v3 = builder.image(whiteouts[:1])
    index = builder.index((arm64, "linux/arm64"), (v3, "linux/amd64/v3"), (amd64, "linux/amd64"))
    text = registry.push(builder.tag(index), "multi:1", all=True)
    found, layout = pulled(text, tmp_path / "in")
    assert (found.digest, found.manifest) == (index["digest"], amd64["digest"])
    assert layout.digest == amd64["digest"]


def test_a_digest_reference_gives_exactly_that_image(
    builder: Builder, registry: Registry, whiteouts: Layers, tmp_path: Path
) -> None:
    first = builder.image(whiteouts[:1])
    registry.push(builder.tag(first, "a"), "moving:1")
    registry.push(builder.tag(builder.image(whiteouts), "b"), "moving:1")
    text = f"docker://{registry.address}/moving@{first['digest']}"
    found, layout = pulled(text, tmp_path / "in")
    assert found.manifest == layout.digest == first["digest"]


def test_a_docker_manifest_keeps_its_digest_as_identity_and_becomes_oci(
    builder: Builder, registry: Registry, whiteouts: Layers, tmp_path: Path
) -> None:
    made = builder.image(whiteouts, docker=True)
    source = tmp_path / "dir"
    source.mkdir()
    manifest = builder.blobs / made["digest"][7:]
    (source / "manifest.json").write_bytes(manifest.read_bytes())
    (source / "version").write_text("Directory Transport Version: 1.1\n")
    for blob in builder.blobs.iterdir():
        (source / blob.name).write_bytes(blob.read_bytes())
    text = registry.push(f"dir:{source}", "docker:1")
    found, layout = pulled(text, tmp_path / "in")
    assert found.manifest == made["digest"]
    assert layout.digest != made["digest"]
    assert [layer.number for layer in layout.layers] == [1, 2]


def test_a_docker_archive_comes_in(builder: Builder, whiteouts: Layers, tmp_path: Path) -> None:
    made = builder.tag(builder.image(whiteouts[:1]))
    archive = tmp_path / "saved.tar"
    subprocess.run(
        ["skopeo", "copy", "-q", made, f"docker-archive:{archive}:some/name:1"],
        check=True,
        timeout=60,
    )
    _, layout = pulled(f"docker-archive:{archive}", tmp_path / "in")
    assert layout.layers[0].diff_id == f"sha256:{hashlib.sha256(whiteouts[0][0]).hexdigest()}"


def test_a_registry_that_wants_a_login_is_unavailable_without_and_serves_with_one(
    builder: Builder,
    guarded_registry: Registry,
    whiteouts: Layers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    auth = tmp_path / "auth.json"
    token = base64.b64encode(b"reader:secret").decode()
    auth.write_text(json.dumps({"auths": {guarded_registry.address: {"auth": token}}}))
    made = builder.image(whiteouts)
    text = guarded_registry.push(builder.tag(made), "private:1", auth=auth)

    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "none.json"))
    with pytest.raises(UnavailableError, match="skopeo login"):
        oci.resolve(oci.reference(text, base=tmp_path))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(auth))
    found, _ = pulled(text, tmp_path / "in")
    assert found.manifest == made["digest"]


def one_line(error: HarnessError) -> str:
    text = str(error)
    assert "\n" not in text
    return text


def test_a_registry_out_of_reach_is_unavailable(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    with pytest.raises(UnavailableError) as caught:
        oci.resolve(oci.reference(f"docker://127.0.0.1:{port}/a:1", base=tmp_path))
    assert f"docker://127.0.0.1:{port}/a:1: the registry cannot be reached" in one_line(
        caught.value
    )


@pytest.mark.parametrize("name", ["nobody/made-this:1", "known:other"])
def test_an_image_that_a_registry_does_not_have_is_named(
    name: str, builder: Builder, registry: Registry, whiteouts: Layers, tmp_path: Path
) -> None:
    registry.push(builder.tag(builder.image(whiteouts)), "known:1")
    with pytest.raises(ImageError) as caught:
        oci.resolve(oci.reference(f"docker://{registry.address}/{name}", base=tmp_path))
    assert f"{name}: there is no such image" in one_line(caught.value)


def test_a_path_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(UsageError, match="circle/x is no path"):
        oci.reference("oci:circle/x", base=tmp_path)


def test_the_home_of_nobody_is_a_name_like_any_other(tmp_path: Path) -> None:
    found = oci.reference("oci:~nobody-of-this-name/x", base=tmp_path)
    assert found.place == f"{tmp_path}/~nobody-of-this-name/x"


@pytest.mark.parametrize("text", ["oci:nowhere", "docker-archive:nowhere.tar", "oci:source:other"])
def test_a_missing_layout_or_archive_is_named(
    text: str, builder: Builder, whiteouts: Layers, tmp_path: Path
) -> None:
    builder.tag(builder.image(whiteouts))
    with pytest.raises(ImageError, match="there is no such image") as caught:
        oci.resolve(oci.reference(text, base=tmp_path))
    one_line(caught.value)


def test_an_index_without_linux_amd64_is_refused_with_what_there_is(
    builder: Builder,
    registry: Registry,
    whiteouts: Layers,
    resolve_text: Callable[[str], oci.Resolved],
) -> None:
    arm64 = builder.image(whiteouts[:1], architecture="arm64")
    arm = builder.image(whiteouts, architecture="arm")
    index = builder.index((arm64, "linux/arm64"), (arm, "linux/arm/v7"))
    text = registry.push(builder.tag(index), "arms:1", all=True)
    with pytest.raises(ImageError, match=r"only for linux/arm/v7, linux/arm64"):
        resolve_text(text)


def test_a_single_image_for_another_machine_is_refused(
    builder: Builder, whiteouts: Layers, tmp_path: Path
) -> None:
    text = builder.tag(builder.image(whiteouts, architecture="arm64"))
    with pytest.raises(ImageError, match="is for linux/arm64: only linux/amd64"):
        pulled(text, tmp_path / "in")


def test_an_artefact_that_is_no_image_is_refused(
    builder: Builder, registry: Registry, resolve_text: Callable[[str], oci.Resolved]
) -> None:
    empty = builder.blob(b"{}", "application/vnd.oci.empty.v1+json")
    kind = "application/vnd.oci.image.manifest.v1+json"
    manifest = {
        "schemaVersion": 2,
        "mediaType": kind,
        "artifactType": "application/vnd.example",
        "config": empty,
        "layers": [empty],
    }
    text = builder.tag(builder.blob(json.dumps(manifest).encode(), kind))
    with pytest.raises(ImageError, match=r"no image config but a application/vnd\.oci\.empty"):
        resolve_text(text)


def test_a_manifest_without_a_config_is_refused(
    builder: Builder, resolve_text: Callable[[str], oci.Resolved]
) -> None:
    kind = "application/vnd.oci.image.manifest.v1+json"
    manifest = json.dumps({"schemaVersion": 2, "mediaType": kind, "layers": []}).encode()
    text = builder.tag(builder.blob(manifest, kind))
    with pytest.raises(ImageError, match="no image config"):
        resolve_text(text)


def test_a_blob_that_was_tampered_with_does_not_come_in(
    builder: Builder, whiteouts: Layers, tmp_path: Path
) -> None:
    made = builder.image(whiteouts)
    manifest = json.loads((builder.blobs / made["digest"][7:]).read_bytes())
    blob = builder.blobs / manifest["layers"][0]["digest"][7:]
    blob.write_bytes(blob.read_bytes()[:-1] + b"!")
    with pytest.raises(ImageError, match="malformed or corrupt") as caught:
        pulled(builder.tag(made), tmp_path / "in")
    one_line(caught.value)


def test_a_host_without_skopeo_is_told_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match="install the package skopeo"):
        oci.resolve(oci.reference("docker://127.0.0.1:1/a", base=tmp_path))


def test_a_transfer_tar_is_a_layout_of_plain_layers(
    builder: Builder, whiteouts: Layers, tmp_path: Path
) -> None:
    _, layout = pulled(builder.tag(builder.image(whiteouts)), tmp_path / "in")
    size = oci_layers.write_transfer(layout, tmp_path / "transfer.tar", limits=Limits())
    assert size == sum(len(tar) for tar, _ in whiteouts)
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(["tar", "-xf", tmp_path / "transfer.tar", "-C", out], check=True, timeout=60)
    again = oci_layout.read(out, "again")
    assert [layer.digest for layer in again.layers] == [layer.diff_id for layer in layout.layers]
    subprocess.run(["skopeo", "inspect", f"oci:{out}"], check=True, timeout=60)


def test_a_layer_larger_than_the_limit_is_stopped_and_named(
    builder: Builder, whiteouts: Layers, tmp_path: Path
) -> None:
    bomb = (bytes(64 << 20), "gzip")
    _, layout = pulled(builder.tag(builder.image((whiteouts[0], bomb))), tmp_path / "in")
    target = tmp_path / "transfer.tar"
    with pytest.raises(ImageError, match=r"layer 2 \(sha256:\w+\): its tar passes the \d+ bytes"):
        oci_layers.write_transfer(layout, target, limits=Limits(unpacked=8 << 20))
    assert target.stat().st_size < 10 << 20


@pytest.mark.parametrize("how", ["gzip", "zstd", ""])
def test_a_layer_cut_short_is_corrupt(how: str, builder: Builder, tmp_path: Path) -> None:
    made = builder.image([(bytes(range(256)) * 4096, how)])
    text = builder.tag(made)
    _, layout = pulled(text, tmp_path / "in")
    blob = oci_layout.blob_path(layout.root, layout.layers[0].digest)
    blob.write_bytes(blob.read_bytes()[: layout.layers[0].size // 2])
    with pytest.raises(ImageError, match=r"layer 1 \(sha256:\w+\) is corrupt"):
        oci_layers.write_transfer(layout, tmp_path / "t", limits=Limits())
    with pytest.raises(ImageError, match=r"layer 1 \(sha256:\w+\) is corrupt"):
        oci_layout.read(layout.root, "cut")


def test_a_tar_that_is_not_the_configs_is_corrupt(builder: Builder, tmp_path: Path) -> None:
    made = builder.image([(b"x" * 512, "gzip")])
    manifest = json.loads((builder.blobs / made["digest"][7:]).read_bytes())
    config = json.loads((builder.blobs / manifest["config"]["digest"][7:]).read_bytes())
    config["rootfs"]["diff_ids"] = [f"sha256:{'0' * 64}"]
    manifest["config"] = builder.blob(
        json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"
    )
    builder.tag(builder.blob(json.dumps(manifest).encode(), manifest["mediaType"]))
    layout = oci_layout.read(builder.root, "lying")
    with pytest.raises(ImageError, match="as the config says"):
        oci_layers.write_transfer(layout, tmp_path / "t", limits=Limits())
