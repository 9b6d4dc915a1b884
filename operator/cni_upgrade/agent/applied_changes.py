"""What stands on the node because a policy had it written, as far as the backups tell.

The controller records that when it happens. A record that was deleted by hand is made anew from
this, so that what was changed can still be proved and given back.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from cni_upgrade.agent.files import backup, recorded_results, state
from cni_upgrade.agent.files.backup import Backup, Saved
from cni_upgrade.agent.files.recorded_results import Back
from cni_upgrade.agent.files.state import State
from cni_upgrade.agent.protocol.errors import OperationRefusedError
from cni_upgrade.agent.protocol.report import Standing, StandingFile
from cni_upgrade.agent.survey import Survey, sha256
from cni_upgrade.cni import config

_UNKNOWN = Standing(None)


def find(survey: Survey) -> Standing | None:
    """What the policy that wrote last has changed; None: nothing stands of it, or there is none.

    Raises nothing.
    """
    if survey.folders.conf_dir is None:
        return None
    host = survey.folders.conf_dir[0]
    try:
        place = state.find(survey.operation)
        if place is None:
            return None
        everything = backup.everything(place)
        broken = backup.unread(place, everything)
        returned = recorded_results.returned(place)
    except OSError:
        return _UNKNOWN
    made = [each for each in everything if each.folder == host]
    if broken and (not made or broken[-1] > made[-1].id):
        return _UNKNOWN
    if not made or not made[-1].policy:
        return None  # the command line's, and a person's to undo
    found = {each.name: sha256(each) for each in survey.configs}
    files = tuple(
        file.told(name, place)
        for name, file in _changed(place, _of_the_last(made), returned).items()
        if found.get(file.saved.name) != file.saved.sha256
    )
    return Standing(made[-1].policy, files) if files else None


def relied_on(place: State) -> set[str]:
    """Ids of the backups that a record of what a policy changed may name: of each file the one that
    holds it as it was before, and the last; and those that tell where its record begins. Raises
    OSError.

    The controller hears nothing of what a person writes or puts back on the node. Its record goes
    on over that; one that was made anew from here begins after it. Which one there is, is not known
    on the node, so both ways of counting are heeded.
    """
    everything = backup.everything(place)
    returned = recorded_results.returned(place)
    found: set[str] = set()
    for folder in {each.folder for each in everything}:
        made = [each for each in everything if each.folder == folder]
        while made and not made[-1].policy:
            made.pop()
        for told_of in (made, [each for each in made if each.policy]):
            since = _of_the_last(told_of)
            # Without the one before it, it would begin earlier the next time.
            found |= {each.id for each in told_of[: -len(since)][-1:]}
            for heard in (returned, {}):
                for file in _changed(place, since, heard).values():
                    found |= {file.made.id, file.newest}
    return found


def _of_the_last(made: list[Backup]) -> list[Backup]:
    """Those of the policy that wrote last, since it did: what it found then is its before."""
    others = [place for place, each in enumerate(made) if each.policy != made[-1].policy]
    return made[others[-1] + 1 :] if others else made


@dataclass(slots=True)
class _File:
    """One file: the first backup of it, what that holds, what was written last, and the backup that
    was made for that."""

    made: Backup
    saved: Saved
    to: str | None
    sha256: str
    newest: str

    def told(self, name: str, place: State) -> StandingFile:
        before = _version(place, self.made, self.saved)
        return StandingFile(name, self.made.id, before, self.to, self.sha256, self.newest)


def _changed(place: State, made: list[Backup], returned: Mapping[Back, int]) -> dict[str, _File]:
    """What was written and what was put back, in the order of time, as the controller records it.

    Of each file the first backup counts; one that is put back ends what it began, as does the same
    from another one: what stood in for a backup that is gone need not be the first that is left.
    """
    events = [(each.created, each, False) for each in made]
    events += [(at, each, True) for each, at in _put_back(made, returned)]
    found: dict[str, _File] = {}
    for _, each, back in sorted(events, key=lambda event: event[0]):
        for saved in each.files:
            for name in dict.fromkeys((saved.becomes or saved.name, saved.name)):
                known = found.setdefault(name, _File(each, saved, None, "", each.id))
                if back and (known.made.id == each.id or known.saved.same(saved)):
                    del found[name]
                elif back:
                    stands = name == saved.name
                    known.to = _version(place, each, saved) if stands else None
                    known.sha256 = saved.sha256 if stands else ""
                else:
                    landed = name == (saved.becomes or saved.name)
                    # Else a list has taken its place.
                    known.to = saved.to if landed else None
                    known.sha256 = saved.after if landed else ""
                    known.newest = each.id
    return found


def _put_back(made: list[Backup], returned: Mapping[Back, int]) -> Iterator[tuple[Backup, int]]:
    """The backups, each with the files of it alone that were put back, and when."""
    known = {each.id: each for each in made}
    for back, at in returned.items():
        each = known.get(back.backup)
        if each is not None:
            files = (saved for saved in each.files if back.name in (None, saved.name))
            yield replace(each, files=tuple(files)), at


def _version(place: State, made: Backup, saved: Saved) -> str | None:
    try:
        return config.read(saved.name, backup.content(place, made, saved)).version
    except OperationRefusedError:
        return None
