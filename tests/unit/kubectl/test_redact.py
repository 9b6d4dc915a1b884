"""What leaves the cluster in a support bundle holds no secret, in whatever form it stands there."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cni_upgrade.kubectl import redact

PLANTED = "hunter2-hunter2"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    "text",
    [
        f'+    "k8s_auth_token": "{PLANTED}",',
        f"etcd_key: {PLANTED}",
        f"password={PLANTED}",
        f"Authorization: Bearer {PLANTED}",
        f"authorization: Basic {PLANTED}=",
        f"https://user:{PLANTED}@registry.example/v2/",
        f"-----BEGIN RSA PRIVATE KEY-----\n{PLANTED}\n-----END RSA PRIVATE KEY-----",
        f"-----BEGIN CERTIFICATE-----\n{PLANTED} cut off",
        json.dumps(json.dumps({"client-key-data": PLANTED})),
        f"client-certificate-data: {PLANTED}",
        f"{{'api_key': '{PLANTED}'}}",
    ],
)
def test_text(text: str) -> None:
    told = redact.text(text)
    assert PLANTED not in told
    assert redact.REMOVED in told


def test_a_service_account_token() -> None:
    assert redact.text(f"asked with {JWT} in vain") == f"asked with {redact.REMOVED} in vain"


@pytest.mark.parametrize(
    "text",
    [
        "10-containerd-net.conflist: missing -> 1.0.0",
        'plugin supports ["0.1.0" ... "0.4.0"]',
        '+  "cniVersion": "1.0.0",',
        "node-a: Drain: default/web-0: The disruption budget web needs 1 healthy pods",
        "https://10.0.0.1:6443/api/v1/nodes",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact.text(text) == text


@given(st.text(alphabet=st.characters(exclude_characters="\"'\\"), max_size=30))
def test_any_text_around_a_member(around: str) -> None:
    assert PLANTED not in redact.text(f'{around} "token": "{PLANTED}" {around}')


def test_objects() -> None:
    pod = {
        "metadata": {
            "name": "p",
            "managedFields": [{"manager": "x"}],
            "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": PLANTED,
                "team": "platform",
            },
        },
        "spec": {
            "automountServiceAccountToken": False,
            "imagePullSecrets": [{"name": "registry"}],
            "containers": [
                {
                    "env": [
                        {"name": "DB", "value": PLANTED},
                        {"name": "CNI_UPGRADE_OPERATION", "value": '{"kind": "audit"}'},
                    ]
                }
            ],
        },
        "data": {"token": PLANTED},
    }
    told = redact.value(pod)
    assert PLANTED not in json.dumps(told)
    assert "managedFields" not in told["metadata"]
    assert told["metadata"]["annotations"] == {"team": "platform"}
    assert told["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    assert told["spec"]["automountServiceAccountToken"] is False
    [kept] = [e for e in told["spec"]["containers"][0]["env"] if e["name"] != "DB"]
    assert kept["value"] == '{"kind": "audit"}'
