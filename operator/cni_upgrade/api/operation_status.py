"""The operation that is under way on a node, so that a restarted controller goes on with it."""

from typing import Annotated

from pydantic import Field

from cni_upgrade.api.base import Count, Model, Name, Text, Time, Word, Words
from cni_upgrade.api.drain import Drain
from cni_upgrade.api.phase import ShownPhase
from cni_upgrade.api.policy_ref import PolicyRef
from cni_upgrade.api.verify import OnFailure, Verify


class ProofStatus(Model):
    """The pods that show whether the node works."""

    old_pod: Name | None = Field(
        default=None, description="Pod that was created before the change, to be deleted after it."
    )
    new_pod: Name | None = Field(
        default=None, description="Pod that is created and deleted after the change."
    )
    add: bool | None = Field(
        default=None,
        description="Whether the new pod got its network; absent while not known.",
    )
    delete: bool | None = Field(
        default=None, description="Whether the new pod could be deleted; absent while not known."
    )
    old_delete: bool | None = Field(
        default=None,
        description="Whether the pod from before the change could be deleted; absent while not "
        "known.",
    )
    soaked: bool = Field(
        default=False,
        description="Whether the soak of spec.verify.soak is over, so that this is the last pod.",
    )
    outcome: Word | None = Field(
        default=None,
        description="What the proof shows, compared with the baseline; absent while it runs.",
    )


class Awaited(Model):
    """What the node was like as it was made ready for its upgrade: whether that has begun."""

    runtime: Word = Field(default="", description="The runtime that the Node reported.")
    kubelet: Word = Field(default="", description="The kubelet that the Node reported.")
    boot_id: Word = Field(default="", alias="bootID", description="The boot of then.")
    ready_since: Time | None = Field(
        default=None, description="Since when the node was Ready, by its own clock."
    )
    reached_at: Time | None = Field(
        default=None,
        description="Since when the Node reports the versions and is Ready; absent while not.",
    )
    retry: Word | None = Field(
        default=None,
        description="A person's retry as the node began to wait for one; absent while it does not.",
    )


class Ending(Model):
    """What a node will be once it is given back."""

    phase: ShownPhase = Field(description="The phase to rest in.")
    reason: Word = Field(description="One CamelCase word that says why.")
    message: Text = Field(default="", description="What happened and what to do about it.")


class Ordered(Model):
    """How the policy wanted the node worked on, for when it is gone before that has ended."""

    on_failure: OnFailure = Field(description="spec.onFailure of the policy.")
    verify: Verify = Field(description="spec.verify of the policy.")
    drain: Drain = Field(description="spec.drain of the policy.")
    paths: Word = Field(default="auto", description="spec.paths of the policy.")


class OperationStatus(Model):
    """The operation that is under way."""

    id: Name = Field(description="Name of the operation: the same work always has the same one.")
    kind: Word = Field(description="audit, apply, restore, prove or upgrade.")
    digest: Word = Field(
        default="", description="SHA-256 of everything that the node is asked to do."
    )
    attempt: Count = Field(
        default=0, description="The serial number that its id was made with (status.serial)."
    )
    step: Word = Field(default="", description="What is being done now.")
    policy: PolicyRef | None = Field(
        default=None, description="The policy on whose behalf the node is worked on."
    )
    started_at: Time | None = Field(default=None, description="When the operation started.")
    step_since: Time | None = Field(default=None, description="When its present step started.")
    deadline: Time | None = Field(default=None, description="When the present step is given up.")
    job: Name | None = Field(
        default=None,
        description="Name of its Job in the namespace of the agents: the id, with -2 or -3 behind "
        "it where an agent was lost and another one was sent.",
    )
    input: Annotated[str, Field(max_length=32768)] | None = Field(
        default=None,
        description="The JSON that is handed to the agent, kept so that a restarted controller "
        "sends the same.",
    )
    ordered: Ordered | None = Field(
        default=None,
        description="How the policy wanted the node worked on as the operation began; holds once "
        "the policy is gone. Absent for an audit.",
    )
    proof: ProofStatus | None = Field(
        default=None, description="The proof of this operation: its pods and what they show."
    )
    awaited: Awaited | None = Field(
        default=None,
        description="What the node was like as it was made ready for its upgrade; absent for any "
        "other operation.",
    )
    hung: Words | None = Field(
        default=None,
        description="Pods, as namespace/name, that hung in creation or deletion before the "
        "change; absent until they were looked for.",
    )
    blockers: Words = Field(
        default=(),
        description="What the present step waits for, such as pods and the disruption budgets "
        "that keep them.",
    )
    cordoned: bool = Field(
        default=False, description="Whether the operator cordoned the node for this operation."
    )
    drained: bool = Field(
        default=False, description="Whether the pods that had to go before the change are gone."
    )
    ending: Ending | None = Field(
        default=None,
        description="How the operation ended, while the node is still to be given back.",
    )
