"""What `cni-upgrade explain` shows of each code: its one line, and its story where it has one.

The one line comes from the engine (`Code.about`).
"""

from cni_upgrade.agent.protocol.errors import ABOUT
from cni_upgrade.cli.stories import STORIES
from cni_upgrade.cni.findings import Code


def lines(code: str) -> list[str] | None:
    """The story of a code, as lines; None for a code that there is not."""
    known = next((each for each in _abouts() if each.lower() == code.lower()), None)
    if known is None:
        return None
    told = [f"{known}: {_abouts()[known]}"]
    story = STORIES.get(known)
    if story is not None:
        told += ["", f"What one sees: {story.seen}", "", f"Why: {story.cause}", ""]
        told += [f"What cures it: {story.cure}", "", "Sources:"]
        told += [f"  {source}" for source in story.sources]
    return told


def index() -> list[str]:
    """Every code with its one line."""
    width = max(map(len, _abouts()))
    return [f"{code:<{width}}  {about}" for code, about in _abouts().items()]


def _abouts() -> dict[str, str]:
    """Of findings first, then of operations that were refused or failed."""
    found = {str(code): code.about for code in Code}
    return {**found, **{code: about for code, about in ABOUT.items() if code not in found}}
