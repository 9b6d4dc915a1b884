"""`cni-upgrade explain`: every code that a node or a config may be told of, and no other."""

from pathlib import Path

from cni_upgrade.agent.protocol.errors import ABOUT
from cni_upgrade.api.alerts import ALERTS, STEPS
from cni_upgrade.api.node_reasons import NODE_REASONS
from cni_upgrade.api.policy_reasons import POLICY_REASONS
from cni_upgrade.cli.main import main
from cni_upgrade.cli.stories import STORIES
from cni_upgrade.cni.findings import Code
from tests.unit.cli.asking import Captured


def test_explain(capsys: Captured) -> None:
    assert main(["explain", "f1"]) == 0
    text = capsys.readouterr().out
    assert "containerd/containerd#4012" in text
    assert main(["explain"]) == 0
    listed = capsys.readouterr().out
    for code in [*Code, *ABOUT, *NODE_REASONS, *POLICY_REASONS, *ALERTS]:
        assert f"\n{code} " in f"\n{listed}"
        assert main(["explain", code]) == 0


def test_every_code_of_the_node_is_explained() -> None:
    """Codes are words in the source; each must be in the table, and each of the table in use."""
    folder = Path(__file__).parents[3] / "operator/cni_upgrade/agent"
    source = {path.name: path.read_text() for path in folder.rglob("*.py")}
    errors = source.pop("errors.py")
    assert errors
    used = "".join(source.values())
    for code in ABOUT:
        assert f'"{code}"' in used, code
    raised = set()
    for text in source.values():
        for call in ("OperationRefusedError(", "OperationFailedError(", "OperationError("):
            for piece in text.split(call)[1:]:
                first = piece.strip().split(",")[0]
                if first.startswith('"'):
                    raised.add(first.strip('"'))
    assert raised <= set(ABOUT)


def test_what_a_runtime_or_a_pod_shows_has_a_story_with_its_sources(capsys: Captured) -> None:
    """What is searched for at night; the story names the cure before the sources."""
    for code in ("NoConfig", "PluginMissing", "CachedDel", "TemplateNotRendered", "HiddenVersion"):
        assert main(["explain", code]) == 0
        text = capsys.readouterr().out
        heads = [
            text.index(head) for head in ("What one sees:", "Why:", "What cures it:", "Sources:")
        ]
        assert heads == sorted(heads)


def test_every_story_is_of_a_code() -> None:
    assert set(STORIES) <= set(Code)
    assert all(story.sources for story in STORIES.values())


def test_a_reason_names_who_acts_and_a_command(capsys: Captured) -> None:
    assert main(["explain", "waitingforslot"]) == 0
    text = capsys.readouterr().out
    assert "Who acts next: the operator, by itself." in text
    assert "  kubectl describe cup POLICY" in text


def test_a_mistyped_word_gets_the_nearest_one(capsys: Captured) -> None:
    for typed, meant in (("WaitForSlot", "WaitingForSlot"), ("CNIUpgradeFail", "CNIUpgradeFails")):
        assert main(["explain", typed]) == 2
        assert f"did you mean {meant}?" in capsys.readouterr().err
    assert main(["explain", "zzzzzz"]) == 2
    assert "did you mean" not in capsys.readouterr().err


def test_each_reason_is_a_sentence() -> None:
    for word, reason in {**NODE_REASONS, **POLICY_REASONS, **ALERTS}.items():
        assert reason.about.endswith("."), word
        assert len(reason.about.split()) <= 25, word


def test_each_alert_says_what_then(capsys: Captured) -> None:
    assert STEPS.keys() == ALERTS.keys()
    for alert, steps in STEPS.items():
        assert len(steps) >= 2, alert
        assert main(["explain", alert]) == 0
        shown = capsys.readouterr().out
        for step in steps:
            assert step.endswith("."), step
            assert f"\n  - {step}\n" in shown
