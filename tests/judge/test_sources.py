"""What is proposed for a ConfigMap is read by libcni as the version that it is to be."""

import re
from pathlib import Path

import pytest

from cni_upgrade.cni.facts import Support, Target
from cni_upgrade.cni.source_verdict import User, judge_source
from cni_upgrade.cni.sources import KNOWN
from tests.judge.build import RELEASES
from tests.judge.process import Judge
from tests.unit.cni import configmaps, samples

TEXTS = {
    "kube-flannel-cfg": configmaps.FLANNEL_OLD,
    "calico-config": configmaps.CALICO,
    "canal-config": configmaps.CANAL,
    "kube-router-cfg": configmaps.KUBE_ROUTER_OLD,
    "antrea-config": configmaps.ANTREA,
    "multus-cni-config": configmaps.MULTUS_THIN,
    "eni-config": configmaps.TERWAY,
    "cni-configuration": configmaps.CILIUM_CUSTOM,
}
PLUGINS = "flannel bridge host-local portmap calico calico-ipam antrea multus terway ptp cilium-cni"


def rendered(template: str) -> str:
    """As the installer of calico does it, on one node."""
    return re.sub(r"__([A-Z_]+)__", lambda found: "1440" if "MTU" in found[1] else "x", template)


@pytest.mark.parametrize("target", ["0.4.0", "1.0.0", "1.1.0"])
@pytest.mark.parametrize("name", TEXTS)
def test_every_release_of_libcni_reads_the_proposal(
    judges: list[Judge], tmp_path: Path, name: str, target: str
) -> None:
    source = next(each for each in KNOWN if each.name == name)
    known = tuple(Support.told(each, samples.supports(target)) for each in PLUGINS.split())
    user = User("node-a", "containerd://2.1.0", known)
    found = judge_source(source, TEXTS[name], (user,), Target(target))
    assert (found.action, found.to) == ("Rewrite", target)
    assert found.text is not None
    single = '"plugins"' not in re.sub(r'"delegates".*', "", found.text, flags=re.DOTALL)
    file = tmp_path / f"10-net.{'conf' if single else 'conflist'}"
    for text, version in ((TEXTS[name], found.version), (found.text, target)):
        file.write_text(rendered(text))
        for release, folder in zip(RELEASES, Judge.folders(judges, tmp_path), strict=True):
            [read] = folder["files"]
            assert read["error"] == "", release
            assert (read["version"] or None, read["network"]) == (version, found.network), release
            if version:
                assert set(read["told"]) == {version}, release
