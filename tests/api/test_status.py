"""Statuses: written apart from the spec, and read back as they were written."""

from cni_upgrade.api.history import HistoryEntry
from cni_upgrade.api.node_state import NodeStateStatus
from cni_upgrade.api.parse import parse_node_state
from cni_upgrade.api.phase import Phase
from tests.api.objects import AT, NOT_SEEN, node_state, policy
from tests.api.server import Collection, Server
from tests.unit.api.kstatus import Health, health


class TestStatus:
    def test_is_written_apart(self, policies: Collection) -> None:
        created = policies.create({**policy(), "status": {"observedGeneration": 7}})
        assert created["status"] == NOT_SEEN
        answer = policies.patch("p", {"spec": {"paused": True}, "status": {"message": "no"}})
        assert answer.body["spec"]["paused"] is True
        assert answer.body["status"] == NOT_SEEN
        assert answer.body["metadata"]["generation"] == 2

    def test_does_not_touch_the_spec(self, policies: Collection) -> None:
        policies.create(policy())
        answer = policies.patch(
            "p", {"spec": {"paused": True}, "status": {"message": "yes"}}, subresource="/status"
        )
        assert answer.ok, answer.message
        assert answer.body["spec"]["paused"] is False
        assert answer.body["status"] == {**NOT_SEEN, "message": "yes"}
        assert answer.body["metadata"]["generation"] == 1

    def test_whoever_puts_it_whole_leaves_one_that_was_not_seen(self, policies: Collection) -> None:
        policies.create(policy())
        seen = policies.patch("p", {"status": {"observedGeneration": 1}}, subresource="/status")
        assert seen.body["status"] == {"observedGeneration": 1}
        whole = {**seen.body, "status": {"message": "x"}}
        answer = policies.put("p", whole, subresource="/status")
        assert answer.ok, answer.message
        assert answer.body["status"] == {**NOT_SEEN, "message": "x"}

    def test_that_was_emptied_is_not_taken_for_healthy(
        self, policies: Collection, node_states: Collection
    ) -> None:
        for objects, name, made in ((policies, "p", policy()), (node_states, "n", node_state())):
            objects.create(made)
            well = {"observedGeneration": 1, "conditions": [], "message": "well"}
            assert objects.patch(name, {"status": well}, subresource="/status").ok
            assert health(objects.get(name)) is Health.CURRENT
            wiped = objects.put(name, {**objects.get(name), "status": {}}, subresource="/status")
            assert wiped.ok, wiped.message
            assert health(objects.get(name)) is Health.IN_PROGRESS

    def test_round_trip_of_a_node_state(self, node_states: Collection) -> None:
        node_states.create(node_state())
        status = NodeStateStatus(
            observed_generation=1,
            phase=Phase.DONE,
            sandboxes={"missing": 1},
            history=(HistoryEntry(at=AT, kind="apply", to="1.0.0"),),
        )
        answer = node_states.patch("n", {"status": status.to_api()}, subresource="/status")
        assert answer.ok, answer.message
        assert parse_node_state(node_states.get("n")).status == status

    def test_of_a_record_is_owned_as_one(self, node_states: Collection) -> None:
        """Its members have one writer, and account of each makes a patch dearer by a third."""
        node_states.create(node_state())
        status = {"phase": "Waiting", "baseline": {"add": True}, "sandboxes": {"missing": 1}}
        answer = node_states.patch("n", {"status": status}, subresource="/status")
        assert answer.ok, answer.message
        owned = [e["fieldsV1"].get("f:status") for e in answer.body["metadata"]["managedFields"]]
        assert {} in owned
        again = node_states.patch("n", {"status": {"phase": "Done"}}, subresource="/status")
        assert again.body["status"] == {**NOT_SEEN, **status, "phase": "Done"}

    def test_nulls_of_a_report_are_taken_for_absent(self, node_states: Collection) -> None:
        """The agent says null where it does not know."""
        node_states.create(node_state())
        report = {
            "files": [{"name": "f", "version": None, "managedBy": None, "active": True}],
            "paths": {"confDir": None, "binDirs": []},
        }
        answer = node_states.patch("n", {"status": report}, subresource="/status")
        assert answer.ok, answer.message
        assert answer.body["status"]["files"] == [{"name": "f", "active": True}]
        assert answer.body["status"]["paths"] == {"binDirs": []}

    def test_a_phase_that_only_a_newer_controller_knows_is_kept(
        self, node_states: Collection
    ) -> None:
        node_states.create(node_state())
        assert node_states.patch("n", {"status": {"phase": "Soaking"}}, subresource="/status").ok
        assert parse_node_state(node_states.get("n")).status.phase == "Soaking"

    def test_a_new_object_is_not_taken_for_healthy(
        self, policies: Collection, node_states: Collection
    ) -> None:
        assert health(policies.create(policy())) is Health.IN_PROGRESS
        assert health(node_states.create(node_state())) is Health.IN_PROGRESS


def test_a_node_may_own_its_state_without_blocking_its_deletion(
    server: Server, node_states: Collection
) -> None:
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}
    uid = server.request("POST", "/api/v1/nodes", node).body["metadata"]["uid"]
    owner = {
        "apiVersion": "v1",
        "kind": "Node",
        "name": "n",
        "uid": uid,
        "blockOwnerDeletion": False,
    }
    whole = node_state(nodeUID=uid)
    whole["metadata"]["ownerReferences"] = [owner]
    read = parse_node_state(node_states.create(whole))
    assert read.metadata.owner_references[0].uid == uid
    assert read.metadata.owner_references[0].block_owner_deletion is False
    assert server.request("DELETE", "/api/v1/nodes/n").ok
