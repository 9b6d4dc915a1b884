"""Each code is explained once."""

from cni_upgrade.cni.findings import Code


def test_each_code_has_a_line_of_its_own() -> None:
    lines = [code.about for code in Code]
    assert all(lines)
    assert len(set(lines)) == len(lines)
    assert all(code.value.isalnum() and str(code) == code.value for code in Code)
