"""A service account's token is renewed on disk about every hour: who reads it anew goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from cni_upgrade.controller.kopf_handlers import connection_info
from cni_upgrade.kube.client import Client, connect
from cni_upgrade.kube.interface import KubeError
from cni_upgrade.kube.resources import NODES
from tests.unit.controller.gate import Gate
from tests.unit.controller.kube_model import KUBECONFIG


async def test_kopf_is_handed_the_token_of_now(folder: Path) -> None:
    client = Client(api := await connect("test"))
    info = await connection_info(api)
    assert (info.server, info.scheme, info.token) == ("https://[fd00::1]:6443", "Bearer", "first")
    assert info.ca_path == str(folder / "ca.crt")
    assert not info.insecure
    (folder / "token").write_text("second")
    assert (await connection_info(api)).token == (folder / "token").read_text()
    await client.close()


async def test_the_token_of_a_kubeconfig_is_handed_over_too(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(KUBECONFIG.replace("SERVER", "http://127.0.0.1:9"))
    client = Client(api := await connect("test", str(path)))
    info = await connection_info(api)
    assert (info.server, info.scheme, info.token) == ("http://127.0.0.1:9", "Bearer", "secret")
    await client.close()


async def test_our_requests_carry_the_token_of_now(folder: Path, gate: type[Gate]) -> None:
    client = Client(await connect("test"))
    await client.list(NODES)
    (folder / "token").write_text("second")
    gate.valid = "second"
    await client.list(NODES)
    assert gate.shown == ["first", "second"]
    (folder / "token").unlink()
    with pytest.raises(KubeError, match="no answer"):
        await client.list(NODES)
    await client.close()
