"""The target of an operation: which version to reach, how strictly, in which form."""

from enum import StrEnum

from cni_upgrade.agent.protocol.json_members import Members
from cni_upgrade.cni.value import dataclass


class Selection(StrEnum):
    """How the version to write follows from the target."""

    HIGHEST_COMPATIBLE = "HighestCompatible"
    EXACT = "Exact"


class RewriteMode(StrEnum):
    """Which files are to be rewritten: all that are below the target, or only those at fault."""

    TO_TARGET = "ToTarget"
    ONLY_FAULTY = "OnlyFaulty"


class Form(StrEnum):
    """What becomes of a single-plugin config: it stays one, or is made a list."""

    KEEP = "Keep"
    LIST = "List"


@dataclass(frozen=True, slots=True)
class Target:
    """The CNI version to reach, and how strictly."""

    version: str = "1.0.0"
    selection: Selection = Selection.HIGHEST_COMPATIBLE
    rewrite: RewriteMode = RewriteMode.TO_TARGET
    form: Form = Form.KEEP

    @classmethod
    def read(cls, members: Members) -> "Target":
        """From the `target` member of an operation."""
        return cls(
            version=members.text("version"),
            selection=members.choice("selection", Selection, Selection.HIGHEST_COMPATIBLE),
            rewrite=members.choice("rewrite", RewriteMode, RewriteMode.TO_TARGET),
            form=members.choice("format", Form, Form.KEEP),
        )

    def to_json(self) -> dict[str, object]:
        """The `target` member of an operation."""
        return {
            "version": self.version,
            "selection": str(self.selection),
            "rewrite": str(self.rewrite),
            # Left out where nothing is asked, so that an operation is what it was before this.
            **({} if self.form is Form.KEEP else {"format": str(self.form)}),
        }
