"""A shelf: what is old never replaces what is new, and what is gone does not come back."""

from __future__ import annotations

from collections.abc import AsyncIterator

from cni_upgrade.controller.object_cache import ObjectCache
from cni_upgrade.kube.interface import Listed, Object
from cni_upgrade.planner.world.kubernetes_objects import Node


def raw(version: int, name: str = "node-a", uid: str = "1") -> Object:
    return {"metadata": {"name": name, "uid": uid, "resourceVersion": str(version)}}


async def came(listed: Listed) -> Listed:
    """A list that was asked for when it was taken in."""
    return listed


def shelf() -> ObjectCache[Node]:
    return ObjectCache(Node.of, lambda node: str(node["metadata"]["name"]))


def test_only_what_is_newer_is_news() -> None:
    nodes = shelf()
    assert nodes.put(raw(5))
    assert not nodes.put(raw(5))
    assert not nodes.put(raw(4))
    assert not nodes.put(raw(6)), "nothing that is kept of it has changed"
    assert nodes.items["node-a"].resource_version == "6"
    assert nodes.put(raw(7) | {"spec": {"unschedulable": True}})
    assert not nodes.put(raw(6)), "it is older"
    assert nodes.items["node-a"].unschedulable


def test_late_words_about_a_former_owner_of_a_name_are_no_news() -> None:
    nodes = shelf()
    nodes.put(raw(9, uid="2"))
    assert not nodes.put(raw(7, uid="1"))
    assert not nodes.drop(raw(8, uid="1"))
    assert nodes.items["node-a"].uid == "2"
    assert nodes.drop(raw(10, uid="2"))
    assert nodes.items == {}


async def test_a_list_from_before_a_deletion_brings_nothing_back() -> None:
    nodes = shelf()
    nodes.put(raw(5))

    async def slow() -> Listed:
        nodes.drop(raw(6))
        return Listed([raw(5)], "5")

    await nodes.replace(slow())
    assert nodes.items == {}
    await nodes.replace(came(Listed([], "6")))
    await nodes.replace(came(Listed([raw(7, uid="2")], "7")))
    assert nodes.items["node-a"].uid == "2"


async def test_a_whole_list_takes_out_what_it_lacks_unless_that_is_newer() -> None:
    nodes = shelf()
    nodes.put(raw(5, "old"))

    async def slow() -> Listed:
        nodes.put(raw(9, "own-write"))
        return Listed([raw(6, "listed")], "7")

    await nodes.replace(slow())
    assert sorted(nodes.items) == ["listed", "own-write"]


async def test_a_list_that_is_older_than_what_was_known_before_it_comes_from_a_restored_etcd() -> (
    None
):
    """Nothing that we have seen since the backup ever happened there."""
    nodes = shelf()
    await nodes.replace(came(Listed([raw(5), raw(6, "b"), raw(7, "c")], "90")))
    nodes.put(raw(91) | {"spec": {"unschedulable": True}})
    nodes.put(raw(92, "new", uid="9"))
    nodes.drop(raw(93, "b"))
    await nodes.replace(came(Listed([raw(5), raw(6, "b"), raw(7, "c")], "20")))
    assert sorted(nodes.items) == ["b", "c", "node-a"]
    assert not nodes.items["node-a"].unschedulable
    assert nodes.as_of == "20"
    assert nodes.put(raw(21) | {"spec": {"unschedulable": True}}), "and it goes on from there"
    await nodes.replace(came(Listed([raw(21), raw(6, "b"), raw(7, "c")], "22")))
    assert sorted(nodes.items) == ["b", "c", "node-a"]


async def test_a_restored_etcd_that_has_overtaken_what_was_known_shows_in_what_it_holds() -> None:
    nodes = shelf()
    nodes.put(raw(30))
    nodes.put(raw(31, "back"))
    nodes.drop(raw(32, "back"))
    nodes.put(raw(33, "new", uid="9"))
    await nodes.replace(came(Listed([raw(5), raw(6, "b")], "90")))
    assert sorted(nodes.items) == ["b", "node-a"]
    assert nodes.items["node-a"].resource_version == "5"
    nodes.drop(raw(91, "b", uid="7"))
    nodes.put(raw(92, "c", uid="3"))
    nodes.drop({"metadata": {"name": "c", "uid": "3"}})
    await nodes.replace(came(Listed([raw(8, "c", uid="3")], "95")))
    assert sorted(nodes.items) == ["c"], "what we had deleted is there again"
    nodes.put(raw(99, "c", uid="3"))
    await nodes.replace_one("c", came(Listed([raw(8, "c", uid="3")], "200")))
    assert nodes.items["c"].resource_version == "8"


async def test_what_was_heard_while_a_list_was_on_its_way_makes_it_no_older() -> None:
    nodes = shelf()
    await nodes.replace(came(Listed([raw(5)], "7")))

    async def slow() -> Listed:
        nodes.put(raw(9) | {"spec": {"unschedulable": True}})
        nodes.put(raw(10, "own-write"))
        nodes.drop(raw(11, "deleted"))
        return Listed([raw(5), raw(6, "deleted")], "8")

    await nodes.replace(slow())
    assert sorted(nodes.items) == ["node-a", "own-write"]
    assert nodes.items["node-a"].unschedulable


async def test_of_a_restored_etcd_the_first_page_tells_before_its_news_is_taken_in() -> None:
    nodes = shelf()
    await nodes.replace(came(Listed([raw(50), raw(51, "gone")], "90")))

    async def pages() -> AsyncIterator[Listed]:
        yield Listed([raw(5)], "20")
        nodes.put(raw(21) | {"spec": {"unschedulable": True}})
        yield Listed([raw(6, "b")], "20")

    await nodes.replace_by(pages())
    assert sorted(nodes.items) == ["b", "node-a"]
    assert nodes.items["node-a"].unschedulable


async def test_one_object_of_a_restored_etcd_is_taken_as_it_is() -> None:
    nodes = shelf()
    nodes.put(raw(91))
    nodes.put(raw(92, "b"))
    await nodes.replace_one("node-a", came(Listed([raw(5)], "20")))
    await nodes.replace_one("b", came(Listed([], "20")))
    assert {name: each.resource_version for name, each in nodes.items.items()} == {"node-a": "5"}


async def test_an_object_that_gets_its_label_back_is_there_again() -> None:
    """A watch by label says that it was deleted, of the version that took the label away."""
    nodes = shelf()
    nodes.put(raw(5))
    assert nodes.drop(raw(6))
    assert not nodes.put(raw(5)), "a list from before that"
    assert nodes.put(raw(7))
    assert not nodes.drop(raw(6)), "late words"
    assert list(nodes.items) == ["node-a"]
    nodes.drop({"metadata": {"name": "node-a", "uid": "1"}})
    assert not nodes.put(raw(8)), "deleted by us, in a version that was not told"


async def test_who_follows_hears_of_all_that_changes_and_goes_and_of_nothing_else() -> None:
    nodes = shelf()
    nodes.put(raw(5, "there"))
    one, other = nodes.follow(), nodes.follow()
    assert one == other == {"there"}, "what is there is new to who begins"
    one.clear()
    nodes.put(raw(4, "there"))
    assert one == set(), "it is old"
    nodes.put(raw(6, "come"))
    nodes.take("there", nodes.items["there"])
    assert one == {"there", "come"}
    one.clear()
    nodes.drop(raw(7, "come"))
    await nodes.replace(came(Listed([], "8")))
    assert one == {"there", "come"}
    assert other == {"there", "come"}


async def test_a_list_of_one_says_nothing_about_others() -> None:
    nodes = shelf()
    nodes.put(raw(5, "a"))
    nodes.put(raw(6, "b"))
    nodes.put(raw(6, "c"))

    async def slow() -> Listed:
        nodes.put(raw(9, "c"))
        return Listed([], "8")

    await nodes.replace_one("a", came(Listed([], "8")))
    await nodes.replace_one("b", came(Listed([raw(7, "b")], "8")))
    await nodes.replace_one("c", slow())
    known = {name: node.resource_version for name, node in nodes.items.items()}
    assert known == {"b": "7", "c": "9"}
