"""Where a rollout is: its wave, its canary, its failures, and what it waits for."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from cni_upgrade.api.base import Count, Model, Name, Text, Time, Word, at_most, first


class CanaryStatus(Model):
    """How far the canary is."""

    nodes: Count = Field(default=0, description="Nodes that are canaries.")
    well: Count = Field(default=0, description="Canaries that are Done or Compatible, and Ready.")
    soak_since: Time | None = Field(
        default=None, description="Since when all canaries are well; absent while one is not."
    )
    passed_at: Time | None = Field(
        default=None, description="When the canary had passed; absent before."
    )


class FailedNode(Model):
    """One node that failed: it counts also when it, its label or its record is gone."""

    node: Name = Field(description="Name of the node.")
    at: Time = Field(description="When it failed.")
    canary: bool = Field(default=False, description="Whether it was a canary then.")
    retry: Word = Field(
        default="",
        description="Digest of the annotation cniupgrade.dev/retry on its record then; another "
        "one gives the failure back.",
    )


class RolloutStatus(Model):
    """Where the rollout of an Enforce policy is."""

    plan: Word = Field(
        default="",
        description="Digest of what is to be reached. When it changes, canary and waves begin "
        "anew.",
    )
    order: Word = Field(
        default="",
        description="Digest of spec.rollout.order. When it changes, the waves are gone through "
        "from the first one that has something to do; the canary that has passed has passed.",
    )
    wave: Word = Field(
        default="", description='The present wave, for example "canary" or "zone eu-1a".'
    )
    number: Count = Field(default=0, description="Number of the present wave, from 1; canary is 0.")
    of: Count = Field(default=0, description="How many waves there are, without the canary.")
    nodes: Count = Field(default=0, description="Nodes of the present wave.")
    finished: Count = Field(
        default=0, description="Nodes of the present wave that it does not wait for any more."
    )
    waits_for: Text = Field(
        default="", description="What is waited for before more can begin; empty when nothing is."
    )
    held_since: Time | None = Field(
        default=None,
        description="Since when nothing moves because of nodes that nobody works on; absent "
        "otherwise.",
    )
    failures: Count = Field(
        default=0, description="Failed nodes that count; see spec.rollout.countFailures."
    )
    failed: Annotated[tuple[FailedNode, ...], Field(max_length=32), BeforeValidator(first(32))] = (
        Field(
            default=(),
            description="The nodes that failed and were not asked for again since, those first "
            "that are gone or do not show it any more; 32 at most.",
        )
    )
    unnamed: Annotated[int, Field(ge=0, le=1_000_000), BeforeValidator(at_most(1_000_000))] = Field(
        default=0,
        description="How many more have failed than failed has names for. Those of them that "
        "nothing shows any more count until the policy itself is annotated with another "
        "cniupgrade.dev/retry.",
    )
    asked: Word = Field(
        default="",
        description="Digest of what the policy asks of every node, its annotation "
        "cniupgrade.dev/retry included. When it changes, failed is empty.",
    )
    retry: Word = Field(
        default="",
        description="Digest of the policy's annotation cniupgrade.dev/retry that was answered "
        "last; one that is taken away asks for nothing.",
    )
    max_failures: Count = Field(
        default=0, description="At so many the rollout stops; see spec.rollout.maxFailures."
    )
    next_window: Time | None = Field(
        default=None,
        description="When the next maintenance window opens that is long enough; absent while "
        "one is open, and where there are none.",
    )
    canary: CanaryStatus | None = Field(
        default=None, description="How far the canary is; absent where there is none."
    )
