"""Shows what became of pods in each story of the verdicts, before and after the engine's rewrite.

    python -m tests.judge.lived        prints a table of docs/measurements/engine.md (root)

Nothing here is predicted: each sign is an ADD or a DEL of a real plugin through the real libcni.
"""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cni_upgrade.cni.verdict import judge
from tests.judge.ahead import AT_ONCE
from tests.judge.build import RELEASES
from tests.judge.carriers import CONTAINERD, CRIO
from tests.judge.stories import STORIES, Node, Story, live, rewritten

_SIGNS = {True: "+", False: "-", None: ""}


def cell(story: Story, release: str, runtime: str) -> str:
    """Of a fresh pod ADD and DEL, then DEL of the pod from before, today and after the rewrite."""
    with tempfile.TemporaryDirectory() as folder:
        node = Node(story, runtime, release, Path(folder) / "today")
        with node.world:
            said = judge(node.facts(), story.target)
            today = _signs(live(node))
        file = said.files[0]
        if file.action != "Rewrite":
            return f"{today} {file.action.lower()}"
        after = rewritten(story, said, runtime, release, Path(folder) / "after")
        return f"{today} {file.to}: {_signs(after)}"


def _signs(outcome: tuple[bool, bool, bool | None]) -> str:
    return f"`{''.join(_SIGNS[each] for each in outcome)}`"


def main() -> None:
    """Print a row for each story and kind of runtime."""
    print("| story | runtime |", " | ".join(RELEASES), "|")
    print("|---" * (len(RELEASES) + 2) + "|")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for story in STORIES:
            for name, runtimes in (("containerd", CONTAINERD), ("CRI-O", CRIO)):
                cells = pool.map(lambda r, s=story, n=runtimes: cell(s, r, n[r]), RELEASES)
                print(f"| {story.title} | {name} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
