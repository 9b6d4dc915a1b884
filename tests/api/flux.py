"""Flux, as far as it writes a policy: applied from Git again and again."""

import json
import subprocess
from typing import Any

from tests.api.conftest import Kubectl
from tests.api.objects import policy

POLICY = policy("cure")
POLICY["metadata"]["annotations"] = {"team": "platform"}
FLUX = "kustomize-controller"


def done(answer: subprocess.CompletedProcess[str]) -> Any:
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout) if answer.stdout.startswith("{") else None


def get(kubectl: Kubectl) -> Any:
    return done(kubectl("get", "cup", "cure", "-o", "json", "--show-managed-fields"))


def flux_applies(kubectl: Kubectl) -> None:
    """As kustomize-controller does it.

    fluxcd/pkg ssa/patch.go, PatchReplaceFieldsManagers, with the managers of kustomize-controller
    kustomization_controller.go: what a manager owns whose name begins with kubectl becomes Flux's
    own, and the apply that follows gives it up, for it is not in Git.
    """
    found = get(kubectl) if kubectl("get", "cup", "cure").returncode == 0 else None
    entries = found["metadata"]["managedFields"] if found else []
    taken = [
        each
        for each in entries
        if each["manager"].startswith("kubectl") and not each.get("subresource")
    ]
    if taken:
        for each in taken:
            each.update(manager=FLUX, operation="Apply")
        old = [each for each in entries if each["manager"] == FLUX and each not in taken]
        kept = [each for each in entries if each not in taken and each not in old]
        merged: dict[str, Any] = {}
        for each in (*old, *taken):
            merge(merged, each["fieldsV1"])
        kept.append({**taken[0], "fieldsV1": merged})
        operation = {"op": "replace", "path": "/metadata/managedFields", "value": kept}
        # By a client that is no kubectl, as Flux is.
        words = ("patch", "cup", "cure", "--type=json", "--field-manager=none", "-p")
        done(kubectl(*words, json.dumps([operation])))
    words = ("apply", "--server-side", "--force-conflicts", f"--field-manager={FLUX}", "-f", "-")
    done(kubectl(*words, stdin=POLICY))


def merge(into: dict[str, Any], more: dict[str, Any]) -> None:
    for key, value in more.items():
        merge(into.setdefault(key, {}), value)
