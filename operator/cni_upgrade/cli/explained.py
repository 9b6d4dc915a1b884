"""The catalogue that `cni-upgrade explain` shows: every word that a person may be told.

The words are codes of findings, refusals of agents, reasons of nodes and policies, and alerts. The
one line of a code comes from the engine (`Code.about`), a longer story from `cli/stories.py`.
"""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Final

from cni_upgrade.agent.protocol.errors import ABOUT
from cni_upgrade.api.alerts import ALERTS, STEPS
from cni_upgrade.api.node_reasons import NODE_REASONS
from cni_upgrade.api.policy_reasons import POLICY_REASONS
from cni_upgrade.api.reasons import Reason
from cni_upgrade.cli.stories import STORIES
from cni_upgrade.cni.findings import Code

_ALERT: Final = "Alert"

REASONS: Final[tuple[tuple[str, dict[str, Reason]], ...]] = (
    ("Reason of a node", NODE_REASONS),
    ("Reason of a policy", POLICY_REASONS),
    (_ALERT, ALERTS),
)
"""What else than a code a word may be, and the words of that kind."""


def lines(word: str) -> list[str] | None:
    """What is known of a word, as lines; None for a word that the catalogue does not have.

    Upper and lower case are the same. A word may be a code and a reason: both are told.
    """
    known = _found(word)
    if known is None:
        return None
    told = list(_code(known))
    for kind, reasons in REASONS:
        if known in reasons:
            told += [""] if told else []
            told += _reason(known, kind, reasons[known])
    return told


def nearest(word: str) -> str | None:
    """The word of the catalogue that is most like a mistyped one; None where none is."""
    lowered = {each.lower(): each for each in index_words()}
    close = get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    return lowered[close[0]] if close else None


def index() -> list[str]:
    """Every word with its one line."""
    abouts = _abouts()
    width = max(map(len, abouts))
    return [f"{word:<{width}}  {about}" for word, about in abouts.items()]


def index_words() -> list[str]:
    """Every word that `explain` knows, each once."""
    return list(_abouts())


def _found(word: str) -> str | None:
    return next((each for each in index_words() if each.lower() == word.lower()), None)


def _code(known: str) -> Iterator[str]:
    """Of a finding or a refusal: its line, and its story where it has one."""
    about = _codes().get(known)
    if about is None:
        return
    yield f"{known}: {about}"
    story = STORIES.get(known)
    if story is not None:
        yield from ("", f"What one sees: {story.seen}", "", f"Why: {story.cause}", "")
        yield from (f"What cures it: {story.cure}", "", "Sources:")
        yield from (f"  {source}" for source in story.sources)


def _reason(word: str, kind: str, reason: Reason) -> Iterator[str]:
    yield f"{word}: {reason.about}"
    yield from ("", f"{kind}. Who acts next: {reason.actor}.", "", "Look or act:")
    yield f"  {reason.command}"
    if kind == _ALERT:
        yield from ("", "Then:", *(f"  - {step}" for step in STEPS[word]))


def _codes() -> dict[str, str]:
    """Of findings first, then of operations that were refused or failed."""
    found = {str(code): code.about for code in Code}
    return {**found, **{code: about for code, about in ABOUT.items() if code not in found}}


def _abouts() -> dict[str, str]:
    """The first line of each word; where a word has several meanings, that of the code."""
    found = _codes()
    for _, reasons in REASONS:
        for word, reason in reasons.items():
            found.setdefault(word, reason.about)
    return found
