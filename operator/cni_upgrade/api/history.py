"""What has happened on a node: the operations and changes that ended."""

from pydantic import Field

from cni_upgrade.api.base import Count, Model, Name, Text, Time, Uid, Word, Words
from cni_upgrade.api.report import Baseline


class LastOperation(Model):
    """The operation that ended last."""

    id: Name = Field(description="Name of the operation.")
    kind: Word = Field(description="audit, apply, restore, prove or upgrade.")
    outcome: Word = Field(default="", description="How it ended, for example Done or Failed.")
    finished_at: Time | None = Field(default=None, description="When it ended.")
    backup: Word | None = Field(
        default=None, description="Backup on the node that it made or used; absent for an audit."
    )
    attempt: Count = Field(default=0, description="The serial number that its id was made with.")


class LastChange(Model):
    """How the change that ended last has ended."""

    outcome: Word = Field(
        description="Done, Failed, RolledBack, Unproved (written; the proof said nothing yet) or "
        "Lowered (the first of two legs is proved, and the node is to be drained and raised)."
    )
    at: Time = Field(description="When it ended.")
    policy: Uid = Field(default="", description="UID of the policy on whose behalf it was made.")
    baseline: Baseline | None = Field(
        default=None,
        description="While Unproved or Failed: what worked before the change, for its proof to be "
        "compared with; absent where that is not known.",
    )
    backup: Word | None = Field(
        default=None,
        description="While Unproved or Failed: the backup to go back to where the proof shows "
        "that it is worse than before.",
    )
    written: bool | None = Field(
        default=None,
        description="While Unproved: false where no agent has said that it wrote, though one may "
        "have; absent where that is known.",
    )


class HistoryEntry(Model):
    """One thing that happened to the node."""

    at: Time = Field(description="When it happened.")
    kind: Word = Field(
        description="apply, restore or upgrade; drift where somebody else had changed a file; "
        "drain."
    )
    operation: Name = Field(default="", description="Name of the operation.")
    outcome: Word = Field(default="", description="How it ended, for example Done or Failed.")
    from_: Word | None = Field(
        default=None,
        alias="from",
        description='The CNI version before, "missing" when there was none; of an upgrade, the '
        "runtime and the kubelet before.",
    )
    to: Word | None = Field(default=None, description="The same after it.")
    backup: Word | None = Field(default=None, description="Backup on the node that goes with it.")
    message: Text = Field(default="", description="What happened, in one sentence.")
    diff: Text | None = Field(
        default=None, description="What was changed in the files, as a unified diff, shortened."
    )


class HungPods(Model):
    """Pods of the node that hung in creation or deletion, before and after one change.

    The last one before which any hung: one before which none did takes nothing of it back.
    """

    before: Words = Field(
        default=(),
        description="Pods, as namespace/name, that got no network or could not be deleted "
        "before that change; 64 at most.",
    )
    after: Words = Field(
        default=(), description="Those of them that still hung when the node was given back."
    )
