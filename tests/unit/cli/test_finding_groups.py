"""Equal findings are told once."""

from cni_upgrade.cli.finding_groups import grouped_findings, merged
from cni_upgrade.cni.findings import Code, Finding, Severity


def missing(plugin: str) -> Finding:
    return Finding(
        Code.PLUGIN_MISSING,
        Severity.FAULT,
        plugin,
        f"the binary {plugin} is not in /opt/cni/bin",
        f"install {plugin}, or name the folder",
    )


def test_findings_of_one_code_stand_together() -> None:
    version = Finding(Code.BAD_VERSION, Severity.FAULT, "10-x.conflist", "it is empty", "write one")
    told = list(grouped_findings([missing("bridge"), version, missing("portmap")]))
    assert told == [
        "Fault PluginMissing (2)",
        "      the binary bridge is not in /opt/cni/bin",
        "      the binary portmap is not in /opt/cni/bin",
        "      to do: install bridge and portmap, or name the folder",
        "",
        "Fault BadVersion",
        "      10-x.conflist: it is empty",
        "      to do: write one",
        "",
    ]


def test_what_is_to_be_done_is_told_once() -> None:
    cannot = Finding(
        Code.CANNOT_CURE,
        Severity.INFO,
        "10-x.conflist",
        "no cniVersion cures PluginMissing (bridge)",
        missing("bridge").action,
    )
    told = [line for line in grouped_findings([missing("bridge"), cannot]) if "to do" in line]
    assert told == ["      to do: install bridge, or name the folder"]


def test_sentences_that_differ_in_one_word_become_one() -> None:
    assert merged(["install a, or wait", "install b, or wait", "install c, or wait"]) == [
        "install a, b and c, or wait"
    ]
    assert merged(["install a", "remove b"]) == ["install a", "remove b"]
    assert merged(["mend a in x", "mend b in x", "mend a in y"]) == [
        "mend a and b in x",
        "mend a in y",
    ]
    assert merged(["wait"]) == ["wait"]
