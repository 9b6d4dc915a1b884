"""The target of a policy: which version, and how strictly each config is brought to it."""

from typing import Literal

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


class Target(Model):
    """What is to be upgraded."""

    cni: CniTarget = Field(
        default=CniTarget(), description="The cniVersion of the CNI configs on the nodes."
    )
