"""Between two names of one network: what a runtime would load at each moment decides."""

import pytest

from cni_upgrade.cni import config, folder, runtimes
from cni_upgrade.cni.config import Config
from cni_upgrade.cni.succession import list_name, obstacle


def conf(name: str, network: str = "net") -> Config:
    return config.read(name, f'{{"name": "{network}", "type": "bridge"}}'.encode())


def as_list(name: str, network: str = "net") -> Config:
    return config.read(name, f'{{"name": "{network}", "plugins": [{{"type": "b"}}]}}'.encode())


def asked(
    old: str,
    *others: Config,
    runtime: str = "containerd://1.6.2",
    max_conf_num: int = 1,
    default_network: str | None = None,
) -> str | None:
    return obstacle(
        lambda configs: (
            folder.active(configs, runtimes.lookup(runtime), max_conf_num, default_network).files
        ),
        [conf(old), *others],
        conf(old),
        as_list(list_name(old)),
    )


def test_the_names() -> None:
    assert list_name("10-x.conf") == "10-x.conflist"
    assert list_name("10-x.json") == "10-x.conflist"
    assert list_name("a.b.conf") == "a.b.conflist"
    assert list_name(".conf") == ".conflist"


@pytest.mark.parametrize("runtime", ["containerd://1.6.2", "cri-o://1.25.0", "docker://20.10.1"])
@pytest.mark.parametrize("old", ["10-x.conf", "10-x.json", ".x.conf", ".conf"])
@pytest.mark.parametrize("other", ["00-a.bak", "20-y.conflist", "10-x.conflist.bak", "10-y.conf"])
def test_nothing_stands_in_the_way(old: str, runtime: str, other: str) -> None:
    assert asked(old, conf(other, "other"), runtime=runtime) is None


@pytest.mark.parametrize("runtime", ["containerd://1.6.2", "cri-o://1.25.0"])
@pytest.mark.parametrize("between", ["10-x.conf.json", "10-x.conf0.conf", "10-x.conflis.conf"])
def test_another_name_between_the_two(between: str, runtime: str) -> None:
    said = asked("10-x.conf", conf(between, "other"), runtime=runtime)
    assert said is not None
    assert f"would load {between} in its place" in said


def test_an_invalid_file_between_the_two() -> None:
    """CRI-O passes it over; containerd would load nothing at all."""
    broken = config.read("10-x.conf0.conf", b"{")
    assert asked("10-x.conf", broken, runtime="cri-o://1.25.0") is None
    assert asked("10-x.conf", broken) is not None


@pytest.mark.parametrize("number", [0, 2, 3])
def test_containerd_loading_several_would_join_the_network_twice(number: int) -> None:
    said = asked("10-x.conf", conf("20-y.conf", "other"), max_conf_num=number)
    assert said is not None
    assert "both 10-x.conf and 10-x.conflist" in said
    assert asked("10-x.conf", max_conf_num=number) is not None


def test_the_last_that_containerd_takes_of_several() -> None:
    first = conf("00-a.conf", "first")
    assert asked("10-x.conf", first, max_conf_num=2) is None
    assert asked("10-x.conf", first, conf("20-y.conf", "other"), max_conf_num=2) is None
    assert asked("10-x.conf", first, max_conf_num=3) is not None


def test_crio_by_the_networks_name() -> None:
    def pinned(*others: Config) -> str | None:
        return asked("10-x.conf", *others, runtime="cri-o://1.25.0", default_network="net")

    assert pinned(conf("00-a.conf", "other")) is None
    assert pinned(conf("10-x.conf0.conf", "other")) is None
    assert pinned(conf("10-x.conf0.conf")) is not None
