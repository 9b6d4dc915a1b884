"""What `hack/release.py` makes, opened with the tools of those who get it; syft is spared."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

from tests.cluster import build

ROOT = Path(__file__).parents[2]
REGISTRY = "registry.example.com:5000/cni-upgrade"


def release(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "hack/release.py"), "--without-sbom", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)


def said(*words: object) -> str:
    command = list(map(str, words))
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the release."""
    out = tmp_path_factory.mktemp("dist")
    done = release("--registry", REGISTRY, "--out", str(out))
    assert done.returncode == 0, done.stderr
    [folder] = [path for path in out.iterdir() if path.is_dir()]
    return folder


def test_the_checksums_hold(made: Path) -> None:
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=made, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    told = {line.split()[1] for line in (made / "SHA256SUMS").read_text().splitlines()}
    assert told == {path.name for path in made.iterdir()} - {"SHA256SUMS"}


@pytest.mark.parametrize("name", ["operator", "agent"])
def test_an_image_can_be_copied_by_its_name(made: Path, name: str) -> None:
    source = f"oci-archive:{made / f'{name}.tar'}:{REGISTRY}/{name}:{made.name}"
    found = json.loads(said("skopeo", "inspect", source))
    assert found["Labels"]["org.opencontainers.image.version"] == made.name
    assert (found["Os"], found["Architecture"]) == ("linux", "amd64")


def test_the_manifest_names_the_images(made: Path) -> None:
    text = (made / "install.yaml").read_text()
    found = [obj for obj in yaml.safe_load_all(text) if obj]
    assert ":dev" not in text
    by_kind = {(obj["kind"], obj["metadata"]["name"]): obj for obj in found}
    deployment = by_kind["Deployment", "cni-upgrade-operator"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"{REGISTRY}/operator:{made.name}"
    agent = f"{REGISTRY}/agent:{made.name}"
    assert by_kind["ConfigMap", "cni-upgrade-operator"]["data"]["agentImage"] == agent
    fence = by_kind["ValidatingAdmissionPolicy", "cni-upgrade-agent-pods"]
    assert {"name": "agentImage", "expression": f"'{agent}'"} in fence["spec"]["variables"]


def test_the_chart_installs_the_same(made: Path, tmp_path: Path) -> None:
    build.ensure(["helm"])
    helm = str(build.home("helm") / "helm")
    package = made / f"cni-upgrade-operator-{made.name}.tgz"
    command = [helm, "template", "cni-upgrade", str(package), "--namespace", "kube-system"]
    text = subprocess.run(
        command, env={"HOME": str(tmp_path)}, capture_output=True, text=True, check=True
    ).stdout
    assert f"image: {REGISTRY}/operator:{made.name}" in text
    assert f"agentImage: {REGISTRY}/agent:{made.name}" in text
    assert ":dev" not in text


def test_the_bundle_holds_all_of_it(made: Path) -> None:
    with tarfile.open(made.parent / f"cni-upgrade-operator-{made.name}.tar") as tar:
        names = {Path(member.name).name for member in tar.getmembers()}
        assert {member.uid for member in tar.getmembers()} == {0}
    assert names == {path.name for path in made.iterdir()}


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--registry", "here"), "release: --registry here: expected HOST[:PORT]/PATH"),
        (
            ("--registry", REGISTRY, "--version", "9.9.9"),
            "release: --version 9.9.9: pyproject.toml",
        ),
    ],
)
def test_what_makes_no_release_is_said_in_one_line(
    words: tuple[str, ...], why: str, tmp_path: Path
) -> None:
    done = release(*words, "--out", str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith(why)
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
