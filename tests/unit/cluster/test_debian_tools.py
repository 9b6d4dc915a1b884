"""A package that is not the pinned one is not used."""

import hashlib

import pytest

from tests.cluster import debian_tools
from tests.cluster.debian_tools import Package
from tests.cluster.errors import ClusterError


def test_the_pinned_package_is_taken_and_any_other_content_is_refused() -> None:
    pinned = Package("tool", "1.0", hashlib.sha256(b"content").hexdigest())
    debian_tools.check(pinned, b"content")
    with pytest.raises(ClusterError) as refused:
        debian_tools.check(pinned, b"other content")
    said = str(refused.value)
    assert "tool 1.0" in said
    assert hashlib.sha256(b"other content").hexdigest() in said
    assert f"expected: {pinned.sha256}" in said
    assert "tests/cluster/debian_tools.py" in said
