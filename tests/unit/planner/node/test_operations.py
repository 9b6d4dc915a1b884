"""What a policy asks for reaches the node, and what the node found is what is ordered."""

from dataclasses import replace
from datetime import timedelta

from cni_upgrade.agent.protocol.operation import Change, Form, Kind, Operation, digest
from cni_upgrade.api import names
from cni_upgrade.planner.node import operations
from cni_upgrade.planner.node.audit_result import audit_key
from cni_upgrade.planner.node.manifests import agent_job
from cni_upgrade.planner.steps.finish import noted
from cni_upgrade.planner.world.operator_config import CarriedLibcni
from tests.unit.planner.cluster_model import CONFIG
from tests.unit.planner.samples import NOW, node, policy, result, state, view

FILE = {
    "name": "10-x.conf",
    "sha256": "a" * 64,
    "kind": "conf",
    "network": "net",
    "version": None,
    "active": True,
    "plugins": ["bridge"],
    "to": "1.0.0",
    "action": "Rewrite",
    "why": "",
    "becomes": "10-x.conflist",
}
PATHS = {"confDir": "/etc/cni/net.d", "binDirs": ["/opt/cni/bin"], "source": "preset"}
AS_LIST = {"cni": {"format": "List"}}


def test_the_format_is_left_out_unless_asked_for() -> None:
    """So an operation of before has the digest that it had."""
    plain = operations.audit(node(), state(), policy(), CONFIG.auto, CONFIG)
    asked = operations.audit(node(), state(), policy(target=AS_LIST), CONFIG.auto, CONFIG)
    assert asked.target == replace(plain.target, form=Form.LIST)
    assert "format" not in plain.target.to_json()
    assert asked.target.to_json() == {**plain.target.to_json(), "format": "List"}


def test_a_list_that_was_found_due_is_ordered() -> None:
    status = state("node-a", files=[FILE], paths=PATHS)
    operation = operations.apply(node(), status, policy(target=AS_LIST), CONFIG, NOW)
    assert operation.kind is Kind.APPLY
    assert operation.files[0].becomes == "10-x.conflist"
    assert Operation.from_json(operation.to_json()) == operation
    kept = operations.apply(
        node(),
        state("node-a", files=[{**FILE, "becomes": None}], paths=PATHS),
        policy(),
        CONFIG,
        NOW,
    )
    assert "becomes" not in kept.files[0].to_json()


def test_the_change_is_told_once() -> None:
    """The new file carries both versions; that the old one went is part of the same change."""
    landed = Change("10-x.conflist", None, "1.0.0", None, "b" * 64, "+ a line")
    gone = Change("10-x.conf", None, None, "a" * 64, None, "")
    assert landed.told == "10-x.conflist: missing -> 1.0.0, a new file"
    assert gone.told == "10-x.conf: removed"
    told = noted(view(), result(changes=(landed, gone)), "Done", "")
    assert (told.history[-1].from_, told.history[-1].to) == ("missing", "1.0.0")
    assert told.history[-1].diff == "+ a line"


def test_what_is_said_of_a_runtime_reaches_the_node() -> None:
    """With an audit and what follows it; said of another runtime, it changes no operation."""
    there = replace(node(), runtime="containerd://2.9.1")
    said = CarriedLibcni(runtime="containerd://2.9", libcni="1.3.1")
    config = CONFIG.model_copy(update={"runtimes": (said,)})
    status = state("node-a", files=[FILE], paths=PATHS)
    for made in (
        operations.audit(there, state(), policy(), config.auto, config),
        operations.apply(there, status, policy(target=AS_LIST), config, NOW),
    ):
        assert made.libcni == "1.3.1"
        assert Operation.from_json(made.to_json()) == made
    plain = operations.audit(node(), state(), policy(), CONFIG.auto, CONFIG)
    assert operations.audit(node(), state(), policy(), config.auto, config) == plain
    assert "libcni" not in plain.to_json()


def test_another_release_of_the_agent_is_no_other_work() -> None:
    """Its image is part of no id and of no digest, and no reason to look again."""
    newer = CONFIG.model_copy(update={"agent_image": "agent:2", "proof_image": "proof:2"})
    status = state("node-a", files=[FILE], paths=PATHS)
    for now, then in (
        [operations.audit(node(), state(), policy(), each.auto, each) for each in (CONFIG, newer)],
        [operations.apply(node(), status, policy(), each, NOW) for each in (CONFIG, newer)],
        [
            operations.give_back(node(), status, status.status, policy(), each, "b-1", NOW)
            for each in (CONFIG, newer)
        ],
    ):
        assert (now.id, digest(now)) == (then.id, digest(then))
        jobs = [
            agent_job(one.id, one, each.auto, each, cache=True)
            for one, each in ((now, CONFIG), (then, newer))
        ]
        images = [j["spec"]["template"]["spec"]["containers"][0]["image"] for j in jobs]
        assert images == ["agent:1", "agent:2"], "what is sent is the new one"
    keys = {audit_key(node(), status, policy(), each) for each in (CONFIG, newer)}
    assert len(keys) == 1


def test_what_was_asked_before_a_reboot_or_a_retry_is_another_question() -> None:
    """Its Job, under that id, may have answered by then."""
    asked = operations.audit(node(), state(), policy(), CONFIG.auto, CONFIG)
    assert operations.audit(node(), state(), policy(), CONFIG.auto, CONFIG, serial=1) == asked
    retried = policy().metadata.model_copy(update={"annotations": {names.RETRY: "1"}})
    again = policy().model_copy(update={"metadata": retried})
    for other in (
        operations.audit(replace(node(), boot_id="boot-2"), state(), policy(), CONFIG.auto, CONFIG),
        operations.audit(node(), state(), again, CONFIG.auto, CONFIG),
        operations.audit(node(), state(), policy(), CONFIG.auto, CONFIG, serial=2),
    ):
        assert (other.id != asked.id, digest(other)) == (True, digest(asked))


def test_the_same_order_at_another_time_is_another_one() -> None:
    """A record may be wiped, or come back with an old etcd: the node has kept its answer."""
    status, later = state("node-a", files=[FILE], paths=PATHS), NOW + timedelta(seconds=1)
    given = (node(), status, policy(target=AS_LIST), CONFIG)
    back = (node(), status, status.status, policy(), CONFIG, "b-1")
    assert operations.apply(*given, NOW).id != operations.apply(*given, later).id
    assert operations.give_back(*back, NOW).id != operations.give_back(*back, later).id
    at = view()
    then = replace(at, world=replace(at.world, now=later))
    ids = {operations.own_id(view, policy(), kind) for view in (at, then) for kind in "ab"}
    assert len(ids) == 4
