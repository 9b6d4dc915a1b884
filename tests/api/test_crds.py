"""The CRDs themselves: the API server takes them without a warning, and once more unchanged."""

import json

from cni_upgrade.api import names
from tests.api.conftest import CRDS, Kubectl
from tests.api.server import Answer, Server


def test_the_crds_are_taken_without_a_warning(installed: dict[str, Answer]) -> None:
    assert len(installed) == 2
    assert {name: answer.warnings for name, answer in installed.items()} == dict.fromkeys(
        installed, ()
    )


def test_the_crds_are_structural_and_their_names_free(server: Server) -> None:
    for plural in (names.POLICY_PLURAL, names.NODE_STATE_PLURAL):
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.{names.GROUP}"
        conditions = server.request("GET", path).body["status"]["conditions"]
        assert {c["type"]: c["status"] for c in conditions} == {
            "NamesAccepted": "True",
            "Established": "True",
        }


def test_applying_the_crds_again_changes_nothing(kubectl: Kubectl) -> None:
    for path in sorted(CRDS.glob("*.yaml")):
        generations = []
        for more in (["--force-conflicts"], []):
            done = kubectl("apply", "--server-side", *more, "-f", str(path))
            assert done.returncode == 0, done.stderr
            shown = json.loads(kubectl("get", "-f", str(path), "-o", "json").stdout)
            generations.append(shown["metadata"]["generation"])
        assert generations[0] == generations[1]
