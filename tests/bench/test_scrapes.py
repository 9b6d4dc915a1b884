"""What is read out of the controller's metrics in the place of an audit log."""

from tests.bench.scrapes import Scrapes

FIRST = """
# TYPE cni_upgrade_api_requests_total counter
cni_upgrade_api_requests_total{code="201",resource="jobs",verb="POST"} 2.0
cni_upgrade_api_requests_total{code="200",resource="nodes",verb="GET"} 1.0
cni_upgrade_leader 1.0
"""
SECOND = """
cni_upgrade_api_requests_total{code="201",resource="jobs",verb="POST"} 2.0
cni_upgrade_api_requests_total{code="200",resource="nodes",verb="GET"} 1.0
cni_upgrade_api_requests_total{code="409",resource="nodes",verb="PATCH"} 1.0
cni_upgrade_api_requests_total{code="200",resource="leases",verb="PUT"} 1.0
"""


def test_each_reading_tells_what_came_since_the_last_one() -> None:
    pages = iter((FIRST, SECOND))
    scrapes = Scrapes(lambda: next(pages))
    first, second = scrapes.news(), scrapes.news()
    assert [(e.verb, e.resource, e.code) for e in first] == [
        ("create", "jobs", 201),
        ("create", "jobs", 201),
        ("get", "nodes", 200),
    ]
    assert [e.reads for e in first] == [False, False, True]
    assert [(e.verb, e.resource, e.code, e.apart) for e in second] == [
        ("patch", "nodes", 409, False),
        ("update", "leases", 200, True),
    ]
    assert {(e.client, e.at) for e in first + second} == {("controller", None)}
