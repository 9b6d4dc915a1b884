"""Prints docs/reference/checks.md, the table of CHECKs as people read it (`make checks`)."""

from collections.abc import Iterator

from cni_upgrade.cni.check_table import ROWS, SPOKEN, TESTED_FIRST, TESTED_LAST, Row, spelled

_HEAD = f"""\
# Which CHECKs pass

From cniVersion 0.4.0 on CRI-O asks CHECK of every pod that it creates, and a pod that does not
pass is not created. containerd asks it of no pod. That a plugin has a CHECK does not say that it
passes. This page is what the engine knows: for each plugin the first row that fits its release and
its config counts. `make checks` writes it.

- **tested**: real plugins answered it to the real libcni. **read**: in the source, not run.
- Run were 0.8.7, 0.9.1, 1.0.1, 1.1.1, 1.2.0, 1.3.0, 1.5.1, 1.6.2 and 1.9.1 of
  containernetworking/plugins. The other releases from {spelled(TESTED_FIRST)} to
  {spelled(TESTED_LAST)} were read: each has the CHECK of one that was run, or a row of its own.
- What comes before or after them is **not known**.
- A binary's release is in its Go build info. Where it is not, the highest version that the binary
  supports bounds it: {{spoken}}. Where the releases between differ, the answer is **not known**.
- **fails**: no config is raised to 0.4.0 there, and one that stands there is the fault
  `CheckBroken`. That holds too where only some pods fail, such as those with a hostPort.
- **not known**: the finding `CheckUnproved`. A policy proves one node first of all those with the
  same reason.
- A plugin that is not in the table is not known.

| plugin | releases | where | CHECK | how it is known |
|---|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    return _HEAD.format(spoken=_spoken()) + "".join(f"{line}\n" for line in _rows())


def _spoken() -> str:
    said = []
    for version, first, last in SPOKEN:
        until = f" to {spelled(last)}" if last else " or later"
        said.append(f"{version} is {spelled(first)}{until}")
    return ", ".join(said)


def _rows() -> Iterator[str]:
    for row in ROWS:
        where = " and ".join(each.about for each in row.when) or "any config"
        why = f": it {row.why}" if row.why else ""
        how = f"{'tested' if row.tested else 'read'}; {row.source}"
        cells = (f"`{row.plugin}`", _releases(row), where, f"{row.result}{why}", how)
        yield f"| {' | '.join(cells)} |"


def _releases(row: Row) -> str:
    if row.first is None and row.last is None:
        return "any"
    first = spelled(row.first) if row.first else "any"
    return first if row.first == row.last else f"{first} to {spelled(row.last or TESTED_LAST)}"


if __name__ == "__main__":
    print(page(), end="")
