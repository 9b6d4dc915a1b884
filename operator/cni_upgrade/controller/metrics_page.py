"""Prints docs/reference/metrics.md, the table of metrics as people read it (`make metrics`)."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector

from cni_upgrade.controller.metric_table import TABLE

_HEAD = """\
# Metrics

Each replica serves them at `http://<node>:8080/metrics`.
[monitoring.md](../how-to/monitoring.md) says how to collect them.
`make metrics` writes this page.

- `leader`: only the replica that leads has a value, so a sum over replicas is right. The value
  comes from the records in the cluster, so it is right after a restart too.
- `each`: every replica tells its own.

| metric | type | told by | labels | what |
|---|---|---|---|---|
"""

_NOTES = """
- Failures and durations are counted by the replica that saw the node change its phase. What falls
  between two processes is in the records (`history`) and in `cni_upgrade_nodes_in_trouble`, and
  in no counter.
- A label value that users choose (policy, reason, version, runtime) is `other` beyond a bound,
  200 for policies. A user who may write policies cannot fill Prometheus' memory by that.
- `cni_upgrade_nodes` has a series for every phase of every policy, also where it is 0. The other
  metrics of the fleet have a series only while there is something to count.
- `cni_upgrade_api_requests_total` counts the operator's own client. kopf watches policies, node
  states and agents' Jobs with a client of its own: of each kind a list and a watch, which begins
  again every five minutes.
- The start of the emergency stop is read from the namespace's `managedFields`: the time at which
  the writer of the annotation last changed any field. Other words in the annotation begin its age
  again. Where `managedFields` were cut off the metric is absent, and `cni_upgrade_stopped` is 1.

## The process

Each replica also has the usual metrics of its process.

| metric | type | what |
|---|---|---|
"""


def page() -> str:
    """The whole page."""
    return _HEAD + "".join(_rows()) + _NOTES + "".join(_process())


def _rows() -> Iterator[str]:
    for each in TABLE:
        labels = ", ".join(each.labels)
        yield f"| `{each.name}` | {each.type} | {each.teller} | {labels} | {each.about} |\n"


def _process() -> Iterator[str]:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    for family in registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        yield f"| `{name}` | {family.type} | {family.documentation} |\n"


if __name__ == "__main__":
    print(page(), end="")
