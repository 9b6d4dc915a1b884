"""What systemd starts a runtime with: another file, flags, variables; they go before its own."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from cni_upgrade.agent.agent import run
from cni_upgrade.agent.discovery import runtime_config
from tests.unit.agent.configured import (
    CRIO_DROP_IN,
    CRIO_UNIT,
    ETC,
    ETC_CNI,
    K3S,
    NO_BINS,
    UNIT,
    V2,
    put,
    wrong,
)
from tests.unit.agent.host import Host, report


@pytest.mark.parametrize(
    "flag",
    [
        "--config /etc/other.toml",
        "--config=/etc/other.toml",
        "-c /etc/other.toml",
        '"-c=/etc/other.toml"',
        "-config /etc/other.toml",
        "-config=/etc/other.toml",
        '"--config" "/etc/other.toml"',
        "'--config' '/etc/other.toml'",
        "--config /first.toml --config /etc/other.toml",
        "--root /var/lib/containerd --config /etc/other.toml",
    ],
)
def test_containerd_started_with_another_file(tmp_path: Path, flag: str) -> None:
    put(tmp_path, ETC, V2 + 'conf_dir = "/usual"\n')
    put(tmp_path, "etc/other.toml", V2 + 'conf_dir = "/other"\n')
    put(tmp_path, UNIT, f"[Service]\nExecStart=/usr/bin/containerd \\\n  {flag}\n")
    stated = runtime_config.read(str(tmp_path), "containerd://1.7.2").stated
    assert stated == replace(NO_BINS, conf_dir="/other", files=("/etc/other.toml",))
    # k3s starts a containerd of its own, whatever this unit says.
    put(tmp_path, K3S, V2 + 'conf_dir = "/own"\n')
    stated = runtime_config.read(str(tmp_path), "containerd://1.7.2-k3s1").stated
    assert stated == replace(NO_BINS, conf_dir="/own", files=(f"/{K3S}",))


def test_a_drop_in_takes_the_place_of_what_a_unit_starts(tmp_path: Path) -> None:
    put(tmp_path, ETC, V2 + 'conf_dir = "/usual"\n')
    put(tmp_path, UNIT, "[Service]\nExecStart=/usr/bin/containerd --config /etc/other.toml\n")
    put(
        tmp_path,
        "etc/systemd/system/containerd.service.d/10-own.conf",
        "[Service]\nExecStart=\nExecStart=/usr/bin/containerd --log-level debug\n",
    )
    stated = runtime_config.read(str(tmp_path), "containerd://1.7.2").stated
    assert stated == replace(NO_BINS, conf_dir="/usual", files=(f"/{ETC}",))


def test_another_file_that_is_not_there(tmp_path: Path) -> None:
    """It may only not be mounted; the usual one is not read in its stead."""
    put(tmp_path, ETC, V2 + 'conf_dir = "/usual"\n')
    put(tmp_path, UNIT, "[Service]\nExecStart=/usr/bin/containerd --config /srv/c.toml\n")
    assert "--config /srv/c.toml, which cannot be found" in wrong(tmp_path, "containerd://1.7.2")


@pytest.mark.parametrize(
    "place",
    [
        "etc/systemd/system/containerd.service",
        "run/systemd/system/containerd.service",
        "usr/local/lib/systemd/system/containerd.service",
        "lib/systemd/system/containerd.service",
        "lib/systemd/system/containerd.service.d/99-own.conf",
        "etc/systemd/system/service.d/99-own.conf",
    ],
)
def test_everywhere_that_systemd_looks(tmp_path: Path, place: str) -> None:
    put(tmp_path, "srv/c.toml", V2 + 'conf_dir = "/srv/cni"\n')
    put(tmp_path, place, "[Service]\nExecStart=\nExecStart=containerd --config /srv/c.toml\n")
    stated = runtime_config.read(str(tmp_path), "containerd://1.7.2").stated
    assert stated is not None
    assert stated.conf_dir == "/srv/cni"


def test_the_last_of_many_drop_ins_decides(tmp_path: Path) -> None:
    drop_ins = "etc/systemd/system/containerd.service.d"
    put(tmp_path, "srv/c.toml", V2 + 'conf_dir = "/srv/cni"\n')
    for number in range(40):
        put(tmp_path, f"{drop_ins}/{number:03}.conf", "[Service]\nNice=1\n")
    last = "[Service]\nExecStart=\nExecStart=containerd --config /srv/c.toml\n"
    put(tmp_path, f"{drop_ins}/999.conf", last)
    stated = runtime_config.read(str(tmp_path), "containerd://1.7.2").stated
    assert stated is not None
    assert stated.conf_dir == "/srv/cni"
    for number in range(40, 300):
        put(tmp_path, f"{drop_ins}/{number:03}.conf", "[Service]\nNice=1\n")
    assert "holds more than 256 drop-ins" in wrong(tmp_path, "containerd://1.7.2")


@pytest.mark.parametrize(
    ("text", "conf_dir"),
    [
        ("Environment=CFG=/srv/c.toml\nExecStart=containerd --config ${CFG}", "/srv/cni"),
        ("Environment=CFG=/x\nEnvironmentFile=/etc/c.env\nExecStart=containerd $ARGS", "/srv/cni"),
        ('Environment="ARGS=-config /srv/c.toml"\nExecStart=containerd $ARGS', "/srv/cni"),
        ("EnvironmentFile=-/etc/none.env\nExecStart=containerd $ARGS", "/etc/cni/net.d"),
        ("Environment=ARGS=--config=/x\nUnsetEnvironment=ARGS\nExecStart=containerd $ARGS", None),
        ("ExecStart=-/bin/env PATH=/x containerd $$ARGS", "/etc/cni/net.d"),
        ("EnvironmentFile=/etc/%H.env\nUnsetEnvironment=A\nExecStart=containerd $A", None),
        ("EnvironmentFile=-/etc/c/*.env\nUnsetEnvironment=A\nExecStart=containerd ${A}", None),
        ("Environment==%x CFG=/srv/c.toml\nExecStart=containerd --config ${CFG}", "/srv/cni"),
    ],
)
def test_containerd_started_with_variables(tmp_path: Path, text: str, conf_dir: str | None) -> None:
    put(tmp_path, ETC, "")
    put(tmp_path, "srv/c.toml", V2 + 'conf_dir = "/srv/cni"\n')
    put(tmp_path, "etc/c.env", '# mine\nCFG=/y\nARGS="--config \\\n/srv/c.toml"\n')
    put(tmp_path, UNIT, f"[Service]\n{text}\n")
    stated = runtime_config.read(str(tmp_path), "containerd://1.7.2").stated
    assert stated is not None
    assert stated.conf_dir == (conf_dir or "/etc/cni/net.d")


@pytest.mark.parametrize(
    "text",
    [
        "HTTP_PROXY=http://u:pa'ss@proxy\n",
        "NAME=O'Brien\n",
        "MOTTO='one\ntwo'\n",
        "OTHER='is not closed\n",
    ],
)
def test_a_quote_that_is_no_concern_of_the_runtime(tmp_path: Path, text: str) -> None:
    put(tmp_path, ETC, V2 + 'conf_dir = "/x"\n')
    put(tmp_path, "etc/crio/crio.conf", '[crio.network]\nnetwork_dir = "/x"\n')
    put(tmp_path, "etc/own.env", text)
    unit = "[Service]\nEnvironmentFile=-/etc/own.env\nExecStart="
    put(tmp_path, UNIT, f"{unit}/usr/bin/containerd\n")
    put(tmp_path, CRIO_UNIT, f"{unit}/usr/bin/crio\n")
    for runtime in ("containerd://1.7.2", "cri-o://1.29.4"):
        stated = runtime_config.read(str(tmp_path), runtime).stated
        assert stated is not None
        assert stated.conf_dir == "/x"
    put(tmp_path, UNIT, f"{unit}/usr/bin/containerd $OTHER\n")
    if "OTHER" in text:
        assert "/etc/own.env: OTHER: a quote is not closed" in wrong(tmp_path, "containerd://1.7.2")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("EnvironmentFile=-/etc/containerd/*.env", "a pattern is not followed"),
        ("EnvironmentFile=-/etc/default/containerd-%H", "a specifier is not followed"),
        ("EnvironmentFile=-/etc/large.env", "larger than 65536 bytes"),
        ("EnvironmentFile=-/etc/nul.env", "holds a NUL"),
    ],
)
def test_variables_that_nobody_asks_for(tmp_path: Path, line: str, why: str) -> None:
    put(tmp_path, ETC, V2 + 'conf_dir = "/x"\n')
    put(tmp_path, "etc/large.env", "#" * 65537)
    put(tmp_path, "etc/nul.env", "A=b\0\n")
    put(tmp_path, UNIT, f"[Service]\n{line}\nExecStart=/usr/bin/containerd\n")
    stated = runtime_config.read(str(tmp_path), "containerd://1.7.2").stated
    assert stated is not None
    assert stated.conf_dir == "/x"
    put(tmp_path, UNIT, f"[Service]\n{line}\nExecStart=/usr/bin/containerd $ARGS\n")
    assert why in wrong(tmp_path, "containerd://1.7.2")


@pytest.mark.parametrize(
    "command",
    [
        "ionice -c 2 /usr/bin/containerd",
        "/usr/bin/containerd --log-level info ; /bin/true -c x",
        "/bin/sh -c true ; /usr/bin/containerd --config /etc/containerd/config.toml ; true -c x",
        "@/usr/bin/containerd containerd --root /var/lib/containerd",
    ],
)
def test_flags_of_another_program(tmp_path: Path, command: str) -> None:
    put(tmp_path, ETC, V2 + 'conf_dir = "/x"\n')
    put(tmp_path, UNIT, f"[Service]\nExecStart={command}\n")
    stated = runtime_config.read(str(tmp_path), "containerd://1.7.2").stated
    assert stated is not None
    assert stated.conf_dir == "/x"


def test_an_apostrophe_where_no_unit_of_crio_is_found(tmp_path: Path) -> None:
    put(tmp_path, "etc/crio/crio.conf", '[crio.network]\nnetwork_dir = "/x"\n')
    put(tmp_path, "etc/sysconfig/crio", "NAME=O'Brien\nCONTAINER_CNI_CONFIG_DIR='/y'\n")
    stated = runtime_config.read(str(tmp_path), "cri-o://1.29.4").stated
    assert stated is not None
    assert stated.conf_dir == "/y"
    put(tmp_path, "etc/sysconfig/crio", "NAME='O\n")
    assert "/etc/sysconfig/crio: NAME: a quote is not closed" in wrong(tmp_path, "cri-o://1.29.4")


def test_a_unit_that_is_masked_or_cannot_be_read(tmp_path: Path) -> None:
    put(tmp_path, ETC, "")
    put(tmp_path, UNIT, "[Service]\nExecStart=containerd --config /srv/c.toml\n")
    own = tmp_path / "etc/systemd/system/containerd.service"
    own.parent.mkdir(parents=True)
    own.symlink_to("/dev/null")
    assert runtime_config.read(str(tmp_path), "containerd://1.7.2").stated is not None
    own.unlink()
    own.symlink_to("/opt/containerd/containerd.service")
    assert "leads to /opt/containerd/containerd.service" in wrong(tmp_path, "containerd://1.7.2")


def test_a_masked_unit_where_dev_is_mounted(tmp_path: Path) -> None:
    put(tmp_path, ETC, "")
    put(tmp_path, UNIT, "[Service]\nExecStart=containerd --config /srv/c.toml\n")
    own = tmp_path / "etc/systemd/system/containerd.service"
    own.parent.mkdir(parents=True)
    own.symlink_to("/dev/null")
    (tmp_path / "dev").mkdir()
    os.mkfifo(tmp_path / "dev/null")  # for root alone may make a device; neither is a plain file
    assert runtime_config.read(str(tmp_path), "containerd://1.7.2").stated is not None


def test_crio_started_with_other_files(tmp_path: Path) -> None:
    put(tmp_path, "etc/crio/crio.conf", '[crio.network]\nnetwork_dir = "/usual"\n')
    put(tmp_path, "etc/own/crio.conf", '[crio.network]\nnetwork_dir = "/own"\n')
    put(tmp_path, "etc/own.d/1", '[crio.network]\nplugin_dirs = ["/p"]\n')
    put(
        tmp_path,
        CRIO_UNIT,
        "[Service]\nEnvironmentFile=-/etc/sysconfig/crio\n"
        "ExecStart=/usr/bin/crio -c /etc/own/crio.conf $MORE\n",
    )
    put(tmp_path, "etc/sysconfig/crio", "# --cni-config-dir /x\nMORE=--config-dir=/etc/own.d\n")
    stated = runtime_config.read(str(tmp_path), "cri-o://1.30.0").stated
    assert stated is not None
    assert (stated.conf_dir, stated.bin_dirs) == ("/own", ("/p",))
    put(tmp_path, "etc/sysconfig/crio", "MORE='--config-dir=/etc/own.d --cni-config-dir /x'\n")
    stated = runtime_config.read(str(tmp_path), "cri-o://1.30.0").stated
    assert stated is not None
    assert (stated.conf_dir, stated.bin_dirs) == ("/x", ("/p",))


@pytest.mark.parametrize(
    ("place", "text", "said"),
    [
        ("etc/sysconfig/crio", "CONTAINER_CNI_CONFIG_DIR=/x/net.d\n", ("/x/net.d", (), None)),
        ("etc/default/crio", "CONTAINER_CNI_DEFAULT_NETWORK='x y'\n", (None, (), "x y")),
        (
            CRIO_DROP_IN,
            '[Service]\nEnvironment=A=b "CONTAINER_CNI_PLUGIN_DIR=/x, /y"\n',
            (None, ("/x", "/y"), None),
        ),
        (CRIO_UNIT, "[Service]\nEnvironment=MORE=--cni-plugin-dir=/x\n", (None, ("/x",), None)),
        (
            CRIO_UNIT,
            "[Service]\nEnvironmentFile=-/etc/own.env\nExecStart=/usr/bin/crio\n",
            ("/own", (), None),
        ),
        (
            CRIO_UNIT,
            "[Service]\nEnvironmentFile=-/etc/own.env\n"
            "ExecStart=/usr/bin/crio -cni-config-dir /x --cni-plugin-dir /p --cni-plugin-dir=/q\n",
            ("/x", ("/p", "/q"), None),
        ),
        (
            CRIO_UNIT,
            '[Service]\nEnvironment=DIR=/x\nExecStart=crio "--cni-config-dir" "${DIR}/net.d"\n',
            ("/x/net.d", (), None),
        ),
        (
            "etc/systemd/system.conf.d/own.conf",
            "[Manager]\nDefaultEnvironment=CONTAINER_CNI_CONFIG_DIR=/x\n",
            ("/x", (), None),
        ),
        (
            CRIO_UNIT,
            "[Service]\nEnvironment=HTTP_PROXY=http://u:p%40s@x CONTAINER_CNI_CONFIG_DIR=/%%/%N\n"
            "ExecStart=/usr/bin/crio\n",
            ("/%/crio", (), None),
        ),
        (
            CRIO_UNIT,
            "[Service]\nEnvironment=CONTAINER_CNI_CONFIG_DIR=%E\nEnvironmentFile=/etc/own.env\n",
            ("/own", (), None),
        ),
    ],
)
def test_crio_started_with_variables(
    tmp_path: Path, place: str, text: str, said: tuple[str | None, tuple[str, ...], str | None]
) -> None:
    """They go before all of CRI-O's files, and flags before them."""
    put(tmp_path, "etc/crio/crio.conf", ETC_CNI)
    put(tmp_path, "etc/own.env", "CONTAINER_CNI_CONFIG_DIR=/own\n")
    put(tmp_path, place, text)
    conf_dir, bin_dirs, network = said
    stated = runtime_config.read(str(tmp_path), "cri-o://1.29.4").stated
    assert stated is not None
    assert (stated.conf_dir, stated.bin_dirs, stated.default_network) == (
        conf_dir or "/etc/cni/net.d",
        bin_dirs or ("/opt/cni/bin",),
        network,
    )


@pytest.mark.parametrize(
    ("unit", "said"),
    [
        ("ExecStart=/opt/start-crio.sh", "it starts /opt/start-crio.sh, and not crio itself"),
        ("ExecStart=/bin/sh -c 'exec crio --config /x'", "it starts /bin/sh, and not crio"),
        ("ExecStart=crio --cni-config-dir=$DIR", "what --cni-config-dir=$DIR $DIR is given"),
        ("ExecStart=crio --cni-config-dir %h/cni", "%h/cni is given cannot be told"),
        ("ExecStart=crio --cni-config-dir '/x", "a quote is not closed"),
        ("ExecStart=crio --cni-config-dir", "network_dir: expected a folder"),
        ("PassEnvironment=CONTAINER_CNI_CONFIG_DIR", "what may set it cannot be seen"),
        ("EnvironmentFile=-/run/crio.env", "what may set it cannot be seen"),
        ("EnvironmentFile=/etc/nope.env", "what may set it cannot be seen"),
        ("EnvironmentFile=-/etc/own.d/*.env", "a pattern is not followed"),
        ("EnvironmentFile=-/etc/%i.env", "a specifier is not followed"),
        ("EnvironmentFile=/etc/own.env", "expected it without export"),
        ("Environment=CONTAINER_CONFIG_DIR=%E/crio/alt.d", "a specifier is not followed"),
        ("Environment=CONTAINER_CONFIG=/x CONTAINER_CONFIG=/x%", "a specifier is not followed"),
        (
            "ExecStart=crio\n[Manager]\nDefaultEnvironment=CONTAINER_CONFIG=/x\n"
            "[Service]\nExecStart=/opt/start-crio.sh",
            "it starts /opt/start-crio.sh",
        ),
        ("#" + "x" * (1 << 16), "larger than 65536 bytes"),
    ],
)
def test_what_crio_is_started_with_and_cannot_be_told(tmp_path: Path, unit: str, said: str) -> None:
    put(tmp_path, "etc/crio/crio.conf", ETC_CNI)
    put(tmp_path, "etc/own.env", "export CONTAINER_CNI_CONFIG_DIR=/x\n")
    put(tmp_path, CRIO_UNIT, f"[Service]\n{unit}\n")
    assert said in wrong(tmp_path, "cri-o://1.29.4")


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("etc/sysconfig/crio", "# CONTAINER_CNI_CONFIG_DIR=/x\nMY_CONTAINER_CNI_CONFIG_DIR=/x\n"),
        (CRIO_DROP_IN, "[Service]\n#Environment=CONTAINER_CNI_CONFIG_DIR=/x\n"),
        (CRIO_DROP_IN, "[Service]\nEnvironment=CONTAINER_CNI_CONFIG_DIR=/x\nEnvironment=\n"),
        (CRIO_DROP_IN, "[Service]\nEnvironmentFile=/etc/own.env\nEnvironmentFile=\n"),
        (CRIO_DROP_IN, "[Service]\nEnvironment=CONTAINER_CONFIG=%E\nEnvironment=\n"),
        (CRIO_DROP_IN, "[X-Notes]\nExecStart=/opt/start-crio.sh\n"),
        (CRIO_DROP_IN, "Environment=CONTAINER_CNI_CONFIG_DIR=/x\n [Service] \nNice=1\n"),
        (
            CRIO_DROP_IN,
            "[Service]\nNice=1\n[X-Notes]\nWhy=none\nEnvironment=CONTAINER_CNI_CONFIG_DIR=/x\n",
        ),
        (
            "etc/systemd/system.conf",
            "[X-Notes]\nDefaultEnvironment=CONTAINER_CNI_CONFIG_DIR=/x\n[Manager]\n",
        ),
        (
            "etc/systemd/system.conf",
            "[Manager]\nDefaultEnvironment=HTTP_PROXY=%%\nDefaultEnvironment=A=%4\n",
        ),
    ],
)
def test_variables_that_crio_is_not_started_with(tmp_path: Path, place: str, text: str) -> None:
    put(tmp_path, "etc/crio/crio.conf", ETC_CNI)
    put(tmp_path, "etc/own.env", "CONTAINER_CNI_CONFIG_DIR=/x\n")
    put(tmp_path, place, text)
    stated = runtime_config.read(str(tmp_path), "cri-o://1.29.4").stated
    assert stated is not None
    assert stated.conf_dir == "/etc/cni/net.d"


def test_lines_end_where_systemd_ends_them(tmp_path: Path) -> None:
    """At a NUL too, which no system call takes, and at none of Unicode's line ends."""
    put(tmp_path, "etc/crio/crio.conf", ETC_CNI)
    text = "[Service]\n# \u2028Environment=CONTAINER_CNI_CONFIG_DIR=/x\n"
    put(tmp_path, CRIO_UNIT, text + "EnvironmentFile=-/etc/a\0b\n")
    stated = runtime_config.read(str(tmp_path), "cri-o://1.29.4").stated
    assert stated is not None
    assert stated.conf_dir == "/etc/cni/net.d"


def test_a_line_that_ends_as_windows_ends_it_goes_on(tmp_path: Path) -> None:
    put(tmp_path, ETC, V2 + 'conf_dir = "/usual"\n')
    put(tmp_path, "etc/other.toml", V2 + 'conf_dir = "/other"\n')
    text = "[Service]\r\nExecStart=/usr/bin/containerd \\\r\n  --config /etc/other.toml\r\n"
    (tmp_path / UNIT).parent.mkdir(parents=True)
    (tmp_path / UNIT).write_bytes(text.encode())
    stated = runtime_config.read(str(tmp_path), "containerd://1.7.2").stated
    assert stated is not None
    assert stated.conf_dir == "/other"


@pytest.mark.parametrize("before", ["", "# mine\r\n", "[Unit]\r\n"])
def test_a_byte_order_mark_hides_no_section(tmp_path: Path, before: str) -> None:
    """systemd passes over the first one that begins a line, whichever line that is."""
    put(tmp_path, ETC, V2 + 'conf_dir = "/usual"\n')
    put(tmp_path, "etc/alt.toml", V2 + 'conf_dir = "/alt"\n')
    put(tmp_path, UNIT, "[Service]\nExecStart=/usr/bin/containerd\n")
    place = tmp_path / "etc/systemd/system/containerd.service.d/alt.conf"
    place.parent.mkdir(parents=True)
    started = "ExecStart=\r\nExecStart=/usr/bin/containerd --config /etc/alt.toml\r\n"
    place.write_bytes(f"{before}\ufeff[Service]\r\n{started}".encode())
    stated = runtime_config.read(str(tmp_path), "containerd://1.7.2").stated
    assert stated is not None
    assert stated.conf_dir == "/alt"


def test_nothing_that_a_terminal_obeys(host: Host) -> None:
    put(host.root, ETC, V2 + 'conf_dir = "/x\\u001b[2J"\n')
    assert all(each.message.isprintable() for each in report(run(host.audit())).findings)
    put(host.root, UNIT, "[Service]\nExecStart=/opt/\\x1b[2J\n")
    assert all(each.message.isprintable() for each in report(run(host.audit())).findings)


def test_variables_that_name_crios_files(tmp_path: Path) -> None:
    put(tmp_path, "etc/crio/crio.conf", ETC_CNI)
    put(tmp_path, "etc/own/crio.conf", '[crio.network]\nnetwork_dir = "/own"\n')
    put(tmp_path, "etc/other/crio.conf", '[crio.network]\nnetwork_dir = "/other"\n')
    put(tmp_path, "etc/own.d/1", '[crio.network]\nplugin_dirs = ["/p"]\n')
    put(
        tmp_path,
        CRIO_DROP_IN,
        '[Service]\nEnvironment="CONTAINER_CONFIG=/etc/own/crio.conf"\n'
        "Environment=CONTAINER_CONFIG_DIR=/etc/own.d\n",
    )

    def folders() -> tuple[str, tuple[str, ...]]:
        stated = runtime_config.read(str(tmp_path), "cri-o://1.29.4").stated
        assert stated is not None
        return stated.conf_dir, stated.bin_dirs

    assert folders() == ("/own", ("/p",))
    put(tmp_path, "etc/sysconfig/crio", "CONTAINER_CONFIG=/etc/other/crio.conf\n")
    assert folders() == ("/other", ("/p",))
    put(tmp_path, CRIO_UNIT, "[Service]\nExecStart=/usr/bin/crio\n")
    assert folders() == ("/own", ("/p",)), "of a unit that is there what it names counts"
    put(tmp_path, CRIO_UNIT, "[Service]\nExecStart=/usr/bin/crio -c /etc/own/crio.conf\n")
    assert folders() == ("/own", ("/p",))
    put(tmp_path, CRIO_UNIT, "[Service]\nExecStart=/usr/bin/crio -c /etc/nope.conf\n")
    assert "the config /etc/nope.conf, which cannot be found" in wrong(tmp_path, "cri-o://1.29.4")
