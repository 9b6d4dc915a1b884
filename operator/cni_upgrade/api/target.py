"""The target of a policy: which versions, and how strictly each config is brought to its own."""

from typing import Annotated, Literal

from pydantic import Field

from cni_upgrade.agent.protocol.operation import Form, RewriteMode, Selection
from cni_upgrade.api.base import Model

SpecVersion = Literal["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]


class CniTarget(Model):
    """The version that CNI configs are to carry."""

    version: SpecVersion = Field(
        default="1.0.0",
        description="The CNI version to reach, and never to exceed. Default 1.0.0.",
    )
    selection: Selection = Field(
        default=Selection.HIGHEST_COMPATIBLE,
        description="HighestCompatible (default): each node gets the highest version, up to the "
        "target, that its runtime, every plugin of the chain and its running pods support. "
        "Exact: a node that cannot take the target itself is Blocked and not touched.",
    )
    rewrite: RewriteMode = Field(
        default=RewriteMode.TO_TARGET,
        description="ToTarget (default): every config is brought to the version to reach. "
        "OnlyFaulty: a config whose older version works on its node is left as it is.",
    )
    format: Form = Field(
        default=Form.KEEP,
        description="Keep (default): a single-plugin config (.conf or .json) stays one. List: "
        "where such a config is brought to the version to reach, it becomes a .conflist of the "
        "same name, the form that the specification asks for from 1.0.0 on; the list lands first, "
        "then the old file goes. Where that is not safe it stays one, and a finding says why.",
    )


VersionPattern = Annotated[
    str,
    Field(max_length=16, pattern=r"^[0-9]{1,4}\.(\*|[0-9]{1,4}\.(\*|[0-9]{1,4}))$"),
]
"""A release such as 1.7.24, or each one of a line: 1.7.* or 2.*."""


class RuntimeTarget(Model):
    """The container runtime that each Node is to report."""

    name: Literal["containerd", "cri-o"] = Field(description="containerd or cri-o.")
    version: VersionPattern = Field(
        description="A release such as 1.7.24, or a line such as 1.7.* or 2.*, as the Node reports "
        "it in its nodeInfo; what stands behind the three numbers does not count."
    )


class KubeletTarget(Model):
    """The kubelet that each Node is to report."""

    version: VersionPattern = Field(
        description="A release such as 1.34.4, or a line such as 1.34.*, as the Node reports it in "
        "its nodeInfo."
    )


class Target(Model):
    """What is to be upgraded."""

    cni: CniTarget = Field(
        default=CniTarget(), description="The cniVersion of the CNI configs on the nodes."
    )
    runtime: RuntimeTarget | None = Field(
        default=None,
        description="The container runtime to reach; absent leaves it alone. spec.upgrade says who "
        "brings it.",
    )
    kubelet: KubeletTarget | None = Field(
        default=None, description="The kubelet to reach; absent leaves it alone."
    )
