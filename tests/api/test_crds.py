"""The CRDs themselves: the API server takes them without a warning, and once more unchanged."""

import copy
import json
from typing import Any

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
        assert kubectl("apply", "--server-side", "--force-conflicts", "-f", str(path)).stdout
        shown = json.loads(kubectl("get", "-f", str(path), "-o", "json").stdout)
        again = kubectl("apply", "--server-side", "-f", str(path))
        assert again.returncode == 0, again.stderr
        after = json.loads(kubectl("get", "-f", str(path), "-o", "json").stdout)
        assert generation(shown) == generation(after)


def generation(obj: dict[str, Any]) -> Any:
    return copy.deepcopy(obj["metadata"]["generation"])
