"""What the documents say to type is understood, and the example is what is shown."""

import re
import shlex
from pathlib import Path

import pytest

from cni_upgrade.cli import checks_page, reasons_page
from cni_upgrade.cli.main import main
from tests.unit.agent.host import VERSIONLESS, Host

ROOT = Path(__file__).parents[3]
DOCUMENTS = (
    "README.md",
    "docs/explanation/folders.md",
    "docs/how-to/audit-without-a-cluster.md",
    "docs/how-to/prepare-a-runtime-upgrade.md",
    "docs/measurements/engine.md",
    "docs/reference/agent-protocol.md",
    "docs/reference/cli.md",
)


def commands() -> list[str]:
    """Every command of a shell's block, or in the text between backquotes."""
    found: dict[str, None] = {}
    for name in DOCUMENTS:
        text = (ROOT / name).read_text()
        for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
            found |= dict.fromkeys(re.findall(r"cni-upgrade [^|\n]+", block))
        prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        found |= dict.fromkeys(re.findall(r"`(cni-upgrade [^`]+)`", prose))
    return [each.strip() for each in found]


@pytest.mark.parametrize("line", commands())
def test_the_command_is_understood(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With --help at its end nothing is done; options that there are not are left to us."""
    arguments = [each for each in shlex.split(line)[1:] if each != "CODE"]
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--help"])
    assert ended.value.code == 0, line
    option = {each for each in arguments if re.fullmatch(r"--?[a-z-]+", each) and each != "-"}
    assert option <= set(re.findall(r"--?[a-z-]+", capsys.readouterr().out)), line


def test_the_example_of_a_disk_image_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    host = Host(tmp_path / "image")
    host.plugins()
    host.config("10-containerd-net.conflist", VERSIONLESS.replace("pod-net", "containerd-net"))
    host.sandbox(None, network="containerd-net")
    main(["audit", "--root", str(host.root), "--runtime", "containerd://1.6.2"])
    shown = capsys.readouterr().out.splitlines()
    text = (ROOT / "docs/how-to/audit-without-a-cluster.md").read_text()
    block = text.split("$ cni-upgrade audit --root /mnt/image", 1)[1].split("```", 1)[0]
    lines = [line for line in block.splitlines()[1:] if line and line != "..."]
    assert len(lines) > 5
    for line in lines:
        assert line in shown


def test_the_page_of_checks_is_made_of_the_table() -> None:
    shown = (ROOT / "docs/reference/checks.md").read_text()
    assert shown == checks_page.page(), "run `make checks`"


def test_the_page_of_reasons_is_made_of_the_catalogue() -> None:
    shown = (ROOT / "docs/reference/reasons.md").read_text()
    assert shown == reasons_page.page(), "run `make reasons`"
