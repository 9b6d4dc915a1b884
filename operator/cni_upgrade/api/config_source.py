"""A ConfigMap from which nodes get their config, as a policy's status shows it."""

from collections.abc import Callable
from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator

from cni_upgrade.api.base import Count, Line, Model, Name, Text, Word, first


def _whole(limit: int) -> Callable[[object], object]:
    """Leave out what is too long: half a patch would be another one."""

    def check(value: object) -> object:
        return None if isinstance(value, str) and len(value) > limit else value

    return check


class ConfigSource(Model):
    """A ConfigMap from which a network add-on writes the config of the nodes."""

    namespace: Name = Field(description="Namespace of the ConfigMap.")
    name: Name = Field(description="Name of the ConfigMap.")
    key: Name = Field(description="Key that holds the config.")
    writer: Word = Field(
        default="",
        description="The program that writes it to the nodes, as the node states name it; empty "
        "where only the operator's configuration knows.",
    )
    nodes: Count = Field(
        default=0, description="Matched nodes with a file that comes from this ConfigMap."
    )
    network: Word | None = Field(default=None, description="Name of the network in it.")
    version: Word | None = Field(
        default=None, description="The cniVersion that it says; absent when it says none."
    )
    to: Word | None = Field(
        default=None,
        description="The version that all of these nodes can take: equal to version when nothing "
        "is to be done, absent when it is not known or there is none.",
    )
    action: Word = Field(
        default="None",
        description="None (nothing to do), Rewrite (diff and patch say how), Refuse (it is not "
        "safe, or the text is not understood) or Unknown (the ConfigMap could not be read).",
    )
    message: Text = Field(
        default="", description="Why this version and not a higher one, or what to do first."
    )
    findings: Annotated[tuple[Line, ...], Field(max_length=5), BeforeValidator(first(5))] = Field(
        default=(),
        description="What is wrong, each as its code, a node that has it, and the fault.",
    )
    diff: Text | None = Field(
        default=None, description="The change of the text, as a unified diff, shortened."
    )
    patch: Annotated[str, Field(max_length=16384)] | None = Field(
        default=None,
        description="The change of the ConfigMap as an RFC 6902 patch for kubectl patch "
        "--type=json, refused where the text has changed since; absent when there is none, or it "
        "would be longer than 16 KiB.",
    )
    takes_effect: Line = Field(
        default="", description="What has to happen before the nodes have the change."
    )

    _whole_patch = field_validator("patch", mode="before")(_whole(16384))
