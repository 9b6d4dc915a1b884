"""A stand-in for weave-net, whose results carry no version."""

import json

from cni_upgrade.cni import config
from tests.judge.world import World

WEAVE = """\
#!/bin/sh
cat > /dev/null
case "$CNI_COMMAND" in
VERSION) echo '{"cniVersion": "0.4.0", "supportedVersions": ["0.1.0", "0.3.1", "0.4.0"]}' ;;
ADD) echo '{"ips": [{"version": "4", "address": "10.32.0.2/12"}]}' ;;
esac
"""
"""Answers as weave-net does: a result without cniVersion (containerd#6921)."""


def lay_weave(world: World, version: str | None) -> config.Config:
    """Make it the plugin of the node's only config; answers that as it is read."""
    world.install("1.9.1", "loopback")
    (world.bin / "weave-net").write_text(WEAVE)
    (world.bin / "weave-net").chmod(0o755)
    stated = {} if version is None else {"cniVersion": version}
    text = {**stated, "name": "weave", "plugins": [{"type": "weave-net"}]}
    world.file.write_text(json.dumps(text))
    return config.read(world.file.name, world.file.read_bytes())
