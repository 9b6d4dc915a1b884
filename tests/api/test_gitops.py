"""What becomes of a pause by annotation when a GitOps tool applies the policy of Git again."""

import pytest

from cni_upgrade.api import names
from tests.api.conftest import Kubectl
from tests.api.flux import POLICY, done, flux_applies, get
from tests.api.server import Collection


@pytest.mark.parametrize(
    ("words", "stays"),
    [
        # docs/how-to/gitops.md says so of the first, and to use the second.
        ((), False),
        (("--field-manager=by-hand",), True),
    ],
)
def test_flux(kubectl: Kubectl, policies: Collection, words: tuple[str, ...], stays: bool) -> None:
    flux_applies(kubectl)
    done(kubectl("annotate", "cup", "cure", f"{names.PAUSED}=true", *words))
    flux_applies(kubectl)
    found = get(kubectl)
    assert found["metadata"]["annotations"]["team"] == "platform"
    assert (names.PAUSED in found["metadata"]["annotations"]) is stays


def test_argo_cd(kubectl: Kubectl, policies: Collection) -> None:
    """It applies as `kubectl apply` does: what was never in Git is left."""
    done(kubectl("apply", "-f", "-", stdin=POLICY))
    done(kubectl("annotate", "cup", "cure", f"{names.PAUSED}=true"))
    done(kubectl("apply", "-f", "-", stdin=POLICY))
    assert get(kubectl)["metadata"]["annotations"][names.PAUSED] == "true"


def test_argo_cd_server_side(kubectl: Kubectl, policies: Collection) -> None:
    """With ServerSideApply=true another manager's annotation is left too."""
    words = ("apply", "--server-side", "--field-manager=argocd-controller", "-f", "-")
    done(kubectl(*words, stdin=POLICY))
    done(kubectl("annotate", "cup", "cure", f"{names.PAUSED}=true"))
    done(kubectl(*words, stdin=POLICY))
    assert get(kubectl)["metadata"]["annotations"][names.PAUSED] == "true"
