"""The runner of all tiers: its last line is what others read."""

import sys
from pathlib import Path

import pytest

from hack import run_tests

GOOD = "def test_a(): pass\ndef test_b(): pass\n"
BAD = "import pytest\ndef test_a(): assert False\n@pytest.fixture\ndef f(): raise OSError\n"
BAD += "def test_b(f): pass\ndef test_c(): pass\ndef test_d(): pytest.skip('x')\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(run_tests, "ROOT", tmp_path)
    # Each of these begins a few pytests: they need not read what no test here has.
    without = " ".join(f"-p no:{name}" for name in ("cacheprovider", "hypothesispytest", "asyncio"))
    (tmp_path / "pytest.ini").write_text(f"[pytest]\naddopts = {without}\n")
    return tmp_path


@pytest.fixture
def unshared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each tier in one process, where that is not what is looked at."""
    monkeypatch.setattr(run_tests, "WORKERS", {})


def write(root: Path, tier: str, text: str) -> None:
    folder = root / "tests" / tier
    folder.mkdir(parents=True)
    (folder / f"test_{tier}.py").write_text(text)


def last_line(capfd: pytest.CaptureFixture[str]) -> str:
    return capfd.readouterr().out.splitlines()[-1]


def test_every_tier_counts(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write(root, "unit", GOOD)
    write(root, "api", GOOD)
    assert run_tests.main([]) == 0
    assert last_line(capfd) == "4 passed"


@pytest.mark.usefixtures("unshared")
def test_a_bad_tier_hides_nothing(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write(root, "unit", BAD)
    write(root, "e2e", GOOD)
    assert run_tests.main([]) == 1
    assert last_line(capfd) == "3 passed, 1 failed, 1 errors, 1 skipped"


@pytest.mark.usefixtures("unshared")
@pytest.mark.parametrize("text", ["syntax error", "import no_such_module"])
def test_a_tier_that_cannot_be_read_is_an_error(
    root: Path, capfd: pytest.CaptureFixture[str], text: str
) -> None:
    write(root, "unit", GOOD)
    write(root, "api", text)
    assert run_tests.main([]) == 1
    assert last_line(capfd) == "2 passed, 1 errors"


def test_a_tier_whose_process_dies_is_an_error(
    root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write(root, "unit", GOOD)
    write(root, "api", "import os\ndef test_a(): os._exit(3)\n")
    assert run_tests.main([]) == 1
    assert last_line(capfd) == "2 passed, 1 errors"


@pytest.mark.usefixtures("unshared")
def test_what_tests_have_counted_is_shown(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write(root, "unit", "def test_a(record_property): record_property('counted', '8 of 530 calls')")
    assert run_tests.main([]) == 0
    assert "\n  8 of 530 calls\n" in capfd.readouterr().out


def test_no_tests_are_no_success(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_tests.main([]) == 1
    assert last_line(capfd) == "0 passed"


def test_quick_tiers_come_first_and_none_is_forgotten(root: Path) -> None:
    for tier in ("torture", "e2e", "api", "unit"):
        write(root, tier, GOOD)
    assert run_tests.tiers() == ["tests/unit", "tests/api", "tests/e2e", "tests/torture"]


def meets(tier: str, other: str) -> str:
    """A test that fails unless the other tier's has begun, or does while it runs."""
    text = "import pathlib, time\ndef test_a():\n"
    text += f"    pathlib.Path('{tier}').touch()\n    end = time.monotonic() + 120\n"
    text += f"    while not pathlib.Path('{other}').exists() and time.monotonic() < end:\n"
    text += "        time.sleep(0.05)\n"
    return text + f"    assert pathlib.Path('{other}').exists()\n"


@pytest.mark.usefixtures("unshared")
@pytest.mark.parametrize("tiers", [("unit", "e2e"), ("unit", "bench"), ("e2e", "bench")])
def test_what_waits_for_nodes_runs_beside_what_computes(
    root: Path, capfd: pytest.CaptureFixture[str], tiers: tuple[str, str]
) -> None:
    for tier, other in (tiers, tiers[::-1]):
        write(root, tier, meets(tier, other))
    assert run_tests.main([]) == 0
    assert last_line(capfd) == "2 passed"


@pytest.mark.usefixtures("unshared")
@pytest.mark.parametrize("longer", ["unit", "e2e"])
def test_the_lane_that_ends_first_takes_what_is_left(
    root: Path, capfd: pytest.CaptureFixture[str], longer: str
) -> None:
    """The longer one does not end before the last of the others has begun."""
    for tier in {"unit", "e2e"} - {longer}:
        write(root, tier, GOOD)
    write(root, longer, meets(longer, "fuzz"))
    write(root, "bench", GOOD)
    write(root, "fuzz", meets("fuzz", longer))
    assert run_tests.main([]) == 0
    assert last_line(capfd) == "6 passed"


@pytest.mark.usefixtures("unshared")
@pytest.mark.parametrize(
    ("code", "last"), [(0, "2 passed"), (1, "2 passed, 1 errors")], ids=["good", "bad"]
)
def test_lint_runs_beside_the_tiers_and_counts(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    code: int,
    last: str,
) -> None:
    says = f"print('a line of lint'); raise SystemExit({code})"
    monkeypatch.setattr(run_tests, "LINT", (sys.executable, "-c", says))
    write(root, "unit", GOOD)
    assert run_tests.main(["--lint", "-q"]) == code
    out = capfd.readouterr().out
    assert "\na line of lint\n" in out
    assert out.splitlines()[-1] == last
