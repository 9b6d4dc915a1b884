"""An image in the cache is the one of these sources, or it is built anew."""

import shutil
from pathlib import Path

import pytest

from hack import image

ROOT = Path(__file__).parents[3]


@pytest.fixture
def context(tmp_path: Path) -> Path:
    image.snapshot(tmp_path)
    return tmp_path


def places(context: Path) -> dict[str, Path]:
    return {name: image.place(target, context) for name, target in image.TARGETS.items()}


def changed(context: Path, name: str) -> set[str]:
    """The images that are built anew when this file changes."""
    before = places(context)
    path = context / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text((path.read_text() if path.exists() else "") + "\n# changed\n")
    after = places(context)
    return {name for name in before if before[name] != after[name]}


def test_the_same_sources_are_the_same_image(
    context: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(context, other, dirs_exist_ok=True)
    assert places(other) == places(context)


@pytest.mark.parametrize(
    ("name", "images"),
    [
        ("Dockerfile", {"agent", "operator"}),
        ("hack/python_runtime.py", {"agent", "operator"}),
        ("requirements/agent.txt", {"agent"}),
        ("requirements/operator.txt", {"operator"}),
        ("operator/cni_upgrade/cni/new.py", {"agent", "operator"}),
        ("operator/cni_upgrade/agent/agent.py", {"agent", "operator"}),
        ("operator/cni_upgrade/controller/main.py", {"operator"}),
        ("operator/cni_upgrade/agent/__pycache__/agent.cpython-311.py", set()),
        ("operator/cni_upgrade/agent/agent.pyc", set()),
        ("docs/reference/agent-protocol.md", set()),
    ],
)
def test_what_goes_in_is_in_the_key(context: Path, name: str, images: set[str]) -> None:
    assert changed(context, name) == images


def test_every_file_that_the_dockerfile_copies_is_an_input(context: Path) -> None:
    for line in (ROOT / "Dockerfile").read_text().splitlines():
        match line.split():
            case ["COPY", source, _] if not source.startswith("--"):
                assert (context / source).exists(), source


def test_the_agent_brings_two_packages_and_no_more() -> None:
    assert {Path(name).name for name in image.TARGETS["agent"].inputs if "operator/" in name} == {
        "__init__.py",
        "cni",
        "agent",
    }
