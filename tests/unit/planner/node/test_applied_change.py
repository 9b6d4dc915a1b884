"""What of a change stays on record, so that a deletion can give it back."""

from __future__ import annotations

from cni_upgrade.agent.protocol.operation import Change, Kind
from cni_upgrade.api.operation_status import OperationStatus
from cni_upgrade.planner.node import applied_change
from tests.unit.planner.samples import operation, result

CONF = Change("10-x.conf", "0.4.0", None, "a" * 64, None, "")
LIST = Change("10-x.conflist", "0.4.0", "1.0.0", None, "b" * 64, "")
UP = Change("10-x.conf", "0.3.1", "0.4.0", "0" * 64, "a" * 64, "")
BACK = Change("10-x.conf", "1.0.0", "0.4.0", None, "a" * 64, "")
GONE = Change("10-x.conflist", "1.0.0", None, "b" * 64, None, "")


def at(kind: str) -> OperationStatus:
    return OperationStatus.model_validate(operation(kind))


def test_a_list_that_took_the_place_of_a_conf_is_on_record() -> None:
    """The conf was removed: it has no hash, and the same backup brings it back."""
    applied = result(changes=(LIST, CONF), backup="b-1")
    known = applied_change.after(None, at("apply"), applied)
    assert known is not None
    assert [(f.name, f.backup, f.sha256) for f in known.files] == [
        ("10-x.conflist", "b-1", "b" * 64),
        ("10-x.conf", "b-1", ""),
    ]
    restored = result(kind=Kind.RESTORE, changes=(BACK, GONE), backup="b-1")
    given = applied_change.after(known, at("restore"), restored)
    assert given is not None
    assert given.files == ()


def test_a_conf_that_was_raised_before_it_became_a_list_goes_back_in_two_steps() -> None:
    known = applied_change.after(None, at("apply"), result(changes=(UP,), backup="b-1"))
    known = applied_change.after(known, at("apply"), result(changes=(LIST, CONF), backup="b-2"))
    assert known is not None
    assert applied_change.backups(known) == ("b-2", "b-1")
    back = result(kind=Kind.RESTORE, changes=(BACK, GONE), backup="b-2")
    known = applied_change.after(known, at("restore"), back)
    assert known is not None
    assert [(f.name, f.backup, f.sha256) for f in known.files] == [("10-x.conf", "b-1", "a" * 64)]


def test_what_is_put_back_is_on_record_at_its_own_version() -> None:
    """The record said that what the first leg wrote was at the version of the second one."""
    known = applied_change.after(None, at("apply"), result(changes=(UP,), backup="b-1"))
    higher = Change("10-x.conf", "0.4.0", "1.0.0", "a" * 64, "c" * 64, "")
    known = applied_change.after(known, at("apply"), result(changes=(higher,), backup="b-2"))
    lower = Change("10-x.conf", "1.0.0", "0.4.0", "c" * 64, "a" * 64, "")
    back = result(kind=Kind.RESTORE, changes=(lower,), backup="b-2")
    known = applied_change.after(known, at("restore"), back)
    assert known is not None
    assert [(f.to, f.sha256) for f in known.files] == [("0.4.0", "a" * 64)]
    elsewhere = result(kind=Kind.RESTORE, changes=(), backup="b-2")
    assert applied_change.after(known, at("restore"), elsewhere) == known, "it stood there already"
