"""The runtimes say what they make of their files (`containerd config dump`, `crio config`)."""

import re
import subprocess
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cni_upgrade.agent.discovery import runtime_config
from cni_upgrade.agent.discovery.containerd_config import CONTAINERD
from cni_upgrade.agent.discovery.crio_config import CRIO, CRIO_DROP_INS
from cni_upgrade.cni.runtime_config import DEFAULT_BIN_DIRS, DEFAULT_CONF_DIR, Stated
from tests.cluster import build as cluster

RELEASES = ("1.6.2", "1.6.38", "2.4.2")
ONE = 1
"""How many configs containerd loads by default."""

V1 = "plugins.cri.cni"
V2 = 'plugins."io.containerd.grpc.v1.cri".cni'
V3 = 'plugins."io.containerd.cri.v1.runtime".cni'
OF_KATA = 'plugins."io.containerd.grpc.v1.cri".containerd.runtimes.kata'
OF_GVISOR = 'plugins."io.containerd.grpc.v1.cri".containerd.runtimes.gvisor'

# `@` is containerd's own folder.
FIRST: dict[str, dict[str, str]] = {
    "nothing": {"config.toml": "version = 2\n"},
    "version 2": {
        "config.toml": f'version = 2\n[{V2}]\nbin_dir = "/a"\nconf_dir = "/c"\nmax_conf_num = 3\n'
    },
    "version 1": {"config.toml": f'[{V1}]\nbin_dir = "/a"\nconf_dir = "/c"\n'},
    "an import of one member": {
        "config.toml": f'version = 2\nimports = ["@/d/*.toml"]\n'
        f'[{V2}]\nbin_dir = "/a"\nconf_dir = "/c"\n',
        "d/1.toml": f'version = 2\n[{V2}]\nbin_dir = "/b"\n',
    },
    "an import of another part of the plugin": {
        "config.toml": f'version = 2\nimports = ["@/d/*.toml"]\n[{V2}]\nconf_dir = "/c"\n',
        "d/1.toml": 'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nsandbox_image = "x"\n',
    },
    "imports in order": {
        "config.toml": 'version = 2\nimports = ["@/d/*.toml", "@/z.toml"]\n',
        "d/2.toml": f'version = 2\n[{V2}]\nconf_dir = "/two"\n',
        "d/1.toml": f'version = 2\n[{V2}]\nconf_dir = "/one"\n',
        "d/.0.toml": f'version = 2\n[{V2}]\nconf_dir = "/zero"\n',
        "d/3.txt": f'version = 2\n[{V2}]\nconf_dir = "/three"\n',
        "z.toml": f'version = 2\nimports = ["@/config.toml", "far.toml"]\n[{V2}]\n'
        "max_conf_num = 0\n",
        "far.toml": f"version = 2\n[{V2}]\nmax_conf_num = 2\n",
    },
    "an import without a version": {
        "config.toml": 'version = 2\nimports = ["@/d/*.toml"]\n',
        "d/1.toml": f'[{V2}]\nbin_dir = "/b"\n',
    },
    "a folder in the pattern": {
        "config.toml": 'version = 2\nimports = ["@/*/x.toml"]\n',
        "d/x.toml": f'version = 2\n[{V2}]\nbin_dir = "/b"\n',
        "e/y.toml": f'version = 2\n[{V2}]\nbin_dir = "/never"\n',
    },
    "bin_dirs in a version 2 file": {
        "config.toml": f'version = 2\n[{V2}]\nbin_dir = "/a"\nbin_dirs = ["/z"]\n'
    },
    "handlers with a folder of their own": {
        "config.toml": f'version = 2\nimports = ["@/d/*.toml"]\n[{OF_KATA}]\ncni_conf_dir = "/k"\n',
        "d/1.toml": f'version = 2\n[{OF_GVISOR}]\ncni_conf_dir = "/g"\n',
    },
    "members in capitals": {
        "config.toml": f'version = 2\n[{V2}]\nCONF_DIR = "/c"\nMAX_CONF_NUM = 3\nBIN_DIR = "/a"\n'
    },
    "members in mixed case": {
        "config.toml": f'version = 2\n[{V2}]\nConf_Dir = "/c"\nmax_Conf_num = 3\n'
    },
    "a part in capitals": {
        "config.toml": 'version = 2\n[plugins."io.containerd.grpc.v1.cri".CNI]\nconf_dir = "/c"\n'
    },
    "a part in mixed case": {
        "config.toml": 'version = 2\n[plugins."io.containerd.grpc.v1.cri".Cni]\nconf_dir = "/c"\n'
    },
    "imports in capitals": {
        "config.toml": 'version = 2\nIMPORTS = ["@/d/*.toml"]\n',
        "d/1.toml": f'VERSION = 2\n[{V2}]\nconf_dir = "/one"\n',
    },
    "plugins in capitals": {
        "config.toml": 'version = 2\n[PLUGINS."io.containerd.grpc.v1.cri".cni]\nconf_dir = "/c"\n'
    },
    "plugins in mixed case": {
        "config.toml": 'version = 2\n[Plugins."io.containerd.grpc.v1.cri".cni]\nconf_dir = "/c"\n'
    },
    "a version in capitals": {"config.toml": f'VERSION = 2\n[{V2}]\nconf_dir = "/c"\n'},
    "a handler in capitals": {
        "config.toml": "version = 2\n"
        '[plugins."io.containerd.grpc.v1.cri".CONTAINERD.RUNTIMES.kata]\nCNI_CONF_DIR = "/k"\n'
    },
    "a plugin's name in capitals": {
        "config.toml": f'version = 2\n[{V2.upper()}]\nconf_dir = "/c"\n'.replace(
            "PLUGINS", "plugins"
        )
    },
    "a loopback without a plugin": {
        "config.toml": f'version = 2\nimports = ["@/d/*.toml"]\n[{V2}]\n'
        'conf_dir = "/c"\nuse_internal_loopback = false\n',
        "d/1.toml": f'version = 2\n[{V2}]\nconf_dir = "/c"\nuse_internal_loopback = true\n',
    },
    "a template": {"config.toml": f'version = 2\n[{V2}]\nconf_template = "/t"\n'},
}
SECOND: dict[str, dict[str, str]] = {
    "version 3": {
        "config.toml": f'version = 3\n[{V3}]\nbin_dirs = ["/a", "/b"]\nconf_dir = "/c"\n'
    },
    "bin_dir, which is read no more": {"config.toml": f'version = 3\n[{V3}]\nbin_dir = "/a"\n'},
    "both": {"config.toml": f'version = 3\n[{V3}]\nbin_dir = "/a"\nbin_dirs = ["/z"]\n'},
    "lists are replaced": {
        "config.toml": f'version = 3\nimports = ["d/*.toml"]\n[{V3}]\nbin_dirs = ["/a", "/b"]\n',
        "d/1.toml": f'version = 3\n[{V3}]\nbin_dirs = ["/c", "/a"]\n',
    },
    "a version 3 table without a version": {
        "config.toml": 'version = 3\nimports = ["d/*.toml"]\n',
        "d/1.toml": f'[{V3}]\nbin_dirs = ["/b"]\nconf_dir = "/c"\n',
    },
    "a version 2 import": {
        "config.toml": f'version = 3\nimports = ["d/*.toml"]\n[{V3}]\nconf_dir = "/c"\n',
        "d/1.toml": f'version = 2\n[{V2}]\nbin_dir = "/b"\n',
    },
}
CASES = [(release, name, files) for release in RELEASES for name, files in FIRST.items()] + [
    ("2.4.2", name, files) for name, files in SECOND.items()
]


@pytest.mark.parametrize(
    ("release", "files"),
    [(release, files) for release, _, files in CASES],
    ids=[f"{release}-{name}".replace(" ", "-") for release, name, _ in CASES],
)
def test_containerd_agrees(release: str, files: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "etc/containerd"
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("@", "/etc/containerd"))
    found = runtime_config.read(str(tmp_path), f"containerd://{release}")
    assert {str(each.code) for each in found.findings} <= {"HandlerFolder"}
    assert found.stated is not None
    most = ONE if found.stated.max_conf_num is None else found.stated.max_conf_num
    ours = replace(found.stated, defaults=(), max_conf_num=most, files=())
    # containerd has no root of its own: its copy names where the files really are.
    for name, text in files.items():
        (folder / name).write_text(text.replace("@", str(folder)))
    assert ours == dumped(release, str(tmp_path) + CONTAINERD[0])


def dumped(release: str, path: str) -> Stated:
    component = f"containerd-{release}"
    cluster.ensure([component])
    binary = cluster.home(component) / "containerd"
    done = subprocess.run(
        [str(binary), "--config", path, "config", "dump"],
        capture_output=True,
        check=True,
        timeout=60,
        text=True,
    )
    plain = re.sub(r"^time=.*$", "", done.stdout, flags=re.MULTILINE)
    plugins: dict[str, Any] = tomllib.loads(plain)["plugins"]
    key = "io.containerd.cri.v1.runtime"
    cri = plugins[key if key in plugins else "io.containerd.grpc.v1.cri"]
    cni = cri["cni"]
    runtimes = {name: own["cni_conf_dir"] for name, own in cri["containerd"]["runtimes"].items()}
    bin_dirs = cni["bin_dirs"] if "bin_dirs" in cni else [cni["bin_dir"]]
    return Stated(
        "containerd",
        cni["conf_dir"],
        tuple(bin_dirs),
        max_conf_num=cni["max_conf_num"],
        conf_template=cni["conf_template"] or None,
        internal_loopback=cni.get("use_internal_loopback", False),
        handlers=tuple(sorted((name, folder) for name, folder in runtimes.items() if folder)),
    )


CRIO_RELEASE = "1.23.0"
NETWORK = "[crio.network]\n"
OF_CRIO: dict[str, dict[str, str]] = {
    "nothing": {"crio.conf": '[crio.runtime]\nlog_level = "info"\n'},
    "all of it": {
        "crio.conf": f'{NETWORK}cni_default_network = "n"\nnetwork_dir = "/c"\n'
        'plugin_dirs = ["/p", "/q"]\n'
    },
    "any spelling": {"crio.conf": '[Crio.NETWORK]\nNetwork_Dir = "/c"\nPLUGIN_DIRS = ["/p"]\n'},
    "drop-ins, member by member": {
        "crio.conf": f'{NETWORK}network_dir = "/c"\nplugin_dirs = ["/p", "/q"]\n',
        "crio.conf.d/20-x": f'{NETWORK}cni_default_network = "n"\n',
        "crio.conf.d/10-a.conf": f'{NETWORK}plugin_dirs = ["/r"]\n',
    },
    "drop-ins in order": {
        "crio.conf": "",
        "crio.conf.d/10-a/b.conf": f'{NETWORK}network_dir = "/b"\n',
        "crio.conf.d/10-a.conf": f'{NETWORK}network_dir = "/a"\nplugin_dirs = ["/p"]\n',
        "crio.conf.d/.hidden": f'{NETWORK}network_dir = "/h"\nplugin_dirs = ["/h"]\n',
    },
    "the last below all others": {
        "crio.conf": f'{NETWORK}network_dir = "/c"\n',
        "crio.conf.d/1/2/3": f'{NETWORK}network_dir = "/deep"\n',
        "crio.conf.d/1/1": f'{NETWORK}network_dir = "/before"\n',
    },
}


@pytest.mark.parametrize(
    "files", OF_CRIO.values(), ids=[name.replace(" ", "-") for name in OF_CRIO]
)
def test_crio_agrees(files: dict[str, str], tmp_path: Path) -> None:
    for name, text in files.items():
        path = tmp_path / "etc/crio" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = runtime_config.read(str(tmp_path), f"cri-o://{CRIO_RELEASE}")
    assert (found.findings, found.elsewhere) == ((), None)
    assert found.stated is not None
    assert replace(found.stated, defaults=(), files=()) == configured(tmp_path)


def configured(root: Path) -> Stated:
    """It shows what is not its default, and `cni_default_network` as a comment."""
    component = f"crio-{CRIO_RELEASE}"
    cluster.ensure([component])
    options = ["--config", f"{root}{CRIO}", "--config-dir", f"{root}{CRIO_DROP_INS}"]
    done = subprocess.run(
        [str(cluster.home(component) / "crio"), *options, "config"],
        capture_output=True,
        check=True,
        timeout=60,
        text=True,
    )
    plain = re.sub(r"^# (?=cni_default_network = )", "", done.stdout, flags=re.MULTILINE)
    network: dict[str, Any] = tomllib.loads(plain).get("crio", {}).get("network", {})
    return Stated(
        "cri-o",
        network.get("network_dir", DEFAULT_CONF_DIR),
        tuple(network.get("plugin_dirs", DEFAULT_BIN_DIRS)),
        default_network=network.get("cni_default_network"),
    )
