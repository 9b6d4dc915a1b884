"""An audit says whether the node could move to another runtime, and changes nothing for it."""

from dataclasses import replace

from cni_upgrade.agent.agent import run
from cni_upgrade.agent.log_lines import of
from cni_upgrade.agent.protocol.operation import ReadinessReport
from cni_upgrade.agent.protocol.paths import BY_HAND_CONFIGS, BY_HAND_PLUGINS, Known, Paths
from tests.unit.agent.configured import ETC, V2, put
from tests.unit.agent.host import VERSIONLESS, Host, codes, report

OLD = VERSIONLESS.replace("{", '{"cniVersion": "0.4.0",', 1)


def test_nothing_is_said_where_nothing_is_asked(host: Host) -> None:
    host.config()
    assert report(run(host.audit())).readiness == ()


def test_each_runtime_is_answered(host: Host) -> None:
    host.runtime = "containerd://1.7.0"
    host.config()
    asked = ("containerd>=2.0", "containerd>=1.6", "cri-o>=9.0", "docker>=1")
    result = run(replace(host.audit(), readiness_for=asked))
    ready, broken, unheard, wrong = report(result).readiness
    assert ready == ReadinessReport("containerd>=2.0", True, "")
    assert (broken.runtime, broken.ready) == ("containerd>=1.6", False)
    assert "containerd 1.6.0 to 1.6.2: F1" in broken.why
    assert (unheard.ready, wrong.ready) == (None, None)
    assert "no release of cri-o that is known" in unheard.why
    assert "'docker>=1' is not of the form" in wrong.why
    assert any(line.startswith("ready for containerd>=1.6: no: ") for line in of(result))


def test_what_a_plugin_does_not_say_is_not_known(host: Host) -> None:
    host.config(text=OLD)
    host.script("portmap", "exit 1")
    (found,) = report(run(replace(host.audit(), readiness_for=("containerd>=2.0",)))).readiness
    assert found.ready is None
    assert "not known" in found.why


def test_who_may_not_answer_what_a_later_release_asks_is_named(host: Host) -> None:
    """In place of the pointer at the findings, which do not tell of it."""
    host.runtime = "containerd://1.7.20"
    host.plugin("own")
    host.config(text='{"cniVersion": "1.0.0", "name": "n", "plugins": [{"type": "own"}]}')
    (found,) = ready(host, "cri-o>=1.25")
    assert found.ready is None
    assert found.why.startswith("cri-o 1.25.0 to 1.30, ")
    assert "whether own answers" in found.why
    assert "see the findings" not in found.why


def test_what_a_later_release_asks_is_told_beside_what_fails(host: Host) -> None:
    host.runtime = "containerd://2.0.0"
    host.config(text=VERSIONLESS.replace("{", '{"cniVersion": "1.1.0",', 1))
    both, last = ready(host, "containerd>=1.7", "containerd>=2.0.1")
    assert (both.ready, last.ready) == (False, None)
    assert last.why.startswith("containerd 2.0.1 to 2.0, containerd 2.1.0 to 2.3, ")
    assert "it asks STATUS of bridge, portmap, and" in last.why
    assert both.why.startswith("containerd 1.7.0 to 1.7: ")
    assert both.why.endswith(f"; {last.why}")


def test_an_apply_answers_anew(host: Host) -> None:
    """Its report takes the place of the audit's."""
    host.config()
    result = run(replace(host.apply(), readiness_for=("containerd>=1.6",)))
    assert result.outcome == "Done"
    assert [each.ready for each in report(result).readiness] == [True]


V3 = 'version = 3\n[plugins."io.containerd.cri.v1.runtime".cni]\n'
USUAL = Paths(("/etc/cni/net.d",), ("/opt/cni/bin", "/usr/lib/cni"))


def ready(host: Host, *asked: str, paths: Paths = USUAL) -> list[ReadinessReport]:
    operation = replace(host.audit(), readiness_for=asked, paths=paths)
    return list(report(run(operation)).readiness)


def test_plugins_that_a_later_release_does_not_look_for_there(host: Host) -> None:
    """containerd 2.2 reads no bin_dir of a version 3 file."""
    host.runtime = "containerd://2.0.4"
    host.config(text=OLD)
    host.bin.rename(host.root / "usr-lib-cni")
    (host.root / "usr/lib").mkdir(parents=True)
    (host.root / "usr-lib-cni").rename(host.root / "usr/lib/cni")
    put(host.root, ETC, V3 + 'bin_dir = "/usr/lib/cni"\n')
    last, both, none = ready(host, "containerd>=2.2", "containerd>=2.0", "containerd>=1.6.5")
    assert (last.ready, both.ready, none.ready) == (None, None, None)
    why = "it reads plugins from /opt/cni/bin in place of /usr/lib/cni; what pods get there is not"
    assert both.why.startswith(f"containerd 2.2.0 to 2.3, containerd 2.4.0 to 2.4: {why} ")
    assert last.other_folders == last.why == both.why
    assert "version: expected 1 or 2" in none.why
    put(host.root, ETC, V3 + 'bin_dirs = ["/usr/lib/cni/"]\n')
    host.runtime = "containerd://2.1.0"
    assert ready(host, "containerd>=2.1") == [ReadinessReport("containerd>=2.1", True, "")]


def test_a_drop_in_that_a_later_release_merges(host: Host) -> None:
    """A file of containerd 1.x replaces the whole CRI part, one of 2.x the members it has."""
    host.runtime = "containerd://1.7.29"
    host.config(text=OLD)
    named = V2 + 'conf_dir = "/etc/other/net.d"\nmax_conf_num = 2\n'
    put(host.root, ETC, f'imports = ["/etc/containerd/a.toml"]\n{named}')
    put(host.root, "etc/containerd/a.toml", V2.replace(".cni", "") + 'sandbox_image = "p"\n')
    old, new = ready(host, "containerd>=1.6.5", "containerd>=2.0")
    assert old.ready is None, "2.0 is later than 1.6.5, too"
    assert new.ready is None
    assert "configs from /etc/other/net.d in place of /etc/cni/net.d" in new.why
    assert "2 files of them in place of 1 file" in new.why
    assert "containerd 1." not in new.why


def test_another_runtime(host: Host) -> None:
    """It has its own configuration, or its defaults: k3s' folders are none of CRI-O's."""
    host.runtime = "containerd://1.7.22-k3s1"
    k3s = "/var/lib/rancher/k3s/agent"
    conf, bins = f"{k3s}/etc/cni/net.d", "/var/lib/rancher/k3s/data/cni"
    put(
        host.root,
        f"{k3s[1:]}/etc/containerd/config.toml",
        f'{V2}conf_dir = "{conf}"\nbin_dir="{bins}"',
    )
    put(host.root, f"{conf[1:]}/10-pod.conflist", OLD)
    (host.root / bins[1:]).parent.mkdir(parents=True)
    host.bin.rename(host.root / bins[1:])
    paths = Paths((conf,), (bins,))
    crio, containerd = ready(host, "cri-o>=1.34", "containerd>=2.0", paths=paths)
    assert crio.ready is None
    assert f"/etc/cni/net.d in place of {conf}, plugins from /opt/cni/bin in place of {bins}" in (
        crio.why
    )
    assert containerd.ready is True, "the next k3s reads what this one reads"
    put(
        host.root,
        "etc/crio/crio.conf",
        f'[crio.network]\nnetwork_dir="{conf}"\nplugin_dir="{bins}"\n',
    )
    (crio,) = ready(host, "cri-o>=1.34", paths=paths)
    assert crio.ready is None
    assert f"plugins from /opt/cni/bin, {bins} in place of {bins}" in crio.why
    put(
        host.root,
        "etc/crio/crio.conf",
        f'[crio.network]\nnetwork_dir="{conf}"\nplugin_dirs=["{bins}"]',
    )
    (crio,) = ready(host, "cri-o>=1.34", paths=paths)
    assert crio.ready is None
    assert "whether bridge, host-local, portmap answers is not known" in crio.why
    unasked = OLD.replace("{", '{"disableCheck": true,', 1)
    (host.root / conf[1:] / "10-pod.conflist").write_text(unasked)
    (crio,) = ready(host, "cri-o>=1.34", paths=paths)
    assert crio.ready is True


def test_the_runtime_of_today_has_another_than_its_default(host: Host) -> None:
    host.runtime = "cri-o://1.34.0"
    host.config(text=OLD)
    (found,) = ready(host, "containerd>=2.0")
    assert found.ready is True, "both read their defaults"
    put(host.root, "etc/crio/crio.conf", '[crio.network]\ncni_default_network = "pod-net"\n')
    (found,) = ready(host, "containerd>=2.0")
    assert found.ready is None
    assert "the first network in place of pod-net" in found.why


def test_a_configuration_that_is_broken_today_is_none_of_a_move(host: Host) -> None:
    host.runtime = "containerd://1.6.8"
    host.config(text=OLD)
    put(host.root, ETC, "version = 2\n[plug\n")
    hand = replace(USUAL, by_hand=(BY_HAND_CONFIGS,))
    found = report(run(replace(host.audit(), paths=hand, readiness_for=("containerd>=2.0",))))
    assert [each.ready for each in found.readiness] == [None]
    by_code = {str(each.code): each for each in found.findings}
    assert "RuntimeMove" not in by_code
    assert "is not TOML" in by_code["RuntimeConfig"].message
    assert by_code["PluginUnknown"].message.startswith(
        "it is not known which plugin folders the runtime uses, so "
    )
    assert by_code["PluginUnknown"].action == "see the finding about /etc/containerd/config.toml"
    put(host.root, "etc/cni/net.d/10-pod.conflist", OLD.replace('"bridge"', '"../bridge"'))
    found = report(run(replace(host.audit(), paths=hand)))
    assert "PluginMissing" in [each.code for each in found.findings]
    put(host.root, ETC, V2 + 'conf_dir = "/etc/other/net.d"\n')
    found = report(run(replace(host.audit(), paths=hand)))
    assert "PluginUnknown" not in [each.code for each in found.findings]


def test_a_usual_folder_beside_the_plugins_is_none_that_the_runtime_reads(host: Host) -> None:
    """Without a configuration nothing says so, and a package may have left one."""
    host.config(text=OLD)
    (host.root / "usr/lib/cni").mkdir(parents=True)
    for runtime in ("cri-o://1.34.0", "docker://20.10.7", "containerd://1.7.20", ""):
        host.runtime = runtime
        [found] = ready(host, "containerd>=2.0")
        assert (found.ready, found.why) == (True, "")
    (host.bin / "bridge").rename(host.root / "usr/lib/cni/bridge")
    [found] = ready(host, "containerd>=2.0")
    assert found.ready is None
    assert "plugins from /opt/cni/bin in place of /opt/cni/bin, /usr/lib/cni" in found.why
    for binary in host.bin.iterdir():
        binary.rename(host.root / "usr/lib/cni" / binary.name)
    [found] = ready(host, "containerd>=2.0")
    assert "plugins from /opt/cni/bin in place of /usr/lib/cni" in found.why


def test_a_containerd_that_is_there_for_another_says_nothing_of_folders(host: Host) -> None:
    """The package containerd.io, which comes with Docker, has cri in its disabled_plugins."""
    host.config(text=OLD)
    put(host.root, ETC, 'disabled_plugins = ["cri"]\n')
    for runtime in ("docker://20.10.7", "cri-o://1.34.0"):
        host.runtime = runtime
        operation = replace(host.audit(), readiness_for=("containerd>=1.6.5",), paths=USUAL)
        found = report(run(operation))
        assert list(found.readiness) == [ReadinessReport("containerd>=1.6.5", True, "")]
        [off] = [each for each in found.findings if each.code == "RuntimeMove"]
        assert (off.component, str(off.severity)) == ("/etc/containerd/config.toml", "Info")
        assert "its CRI part is off in /etc/containerd/config.toml" in off.message
        assert "disabled_plugins" in off.action
        asked = run(replace(operation, readiness_for=()))
        assert ("RuntimeMove" in codes(asked)) is runtime.startswith("docker")
    host.runtime = "containerd://1.7.29"
    [still] = ready(host, "containerd>=2.0")
    assert still.ready is None, "today's runtime is that one: the configuration is another's"
    host.runtime = "docker://20.10.7"
    (host.root / ETC).unlink()
    assert "RuntimeMove" not in codes(run(host.audit()))


def test_a_loopback_that_a_later_release_brings_up_itself(host: Host) -> None:
    host.runtime = "containerd://1.7.29"
    host.config(text=OLD)
    put(host.root, ETC, V2 + "use_internal_loopback = true\n")
    (found,) = ready(host, "containerd>=2.0")
    assert found.ready is None
    assert "no loopback plugin in place of a loopback plugin" in found.why


def test_a_folder_under_another_name_is_the_same(host: Host) -> None:
    host.runtime = "cri-o://1.34.0"
    host.config(text=OLD)
    (host.root / "conf").symlink_to("/etc/cni/net.d")
    put(host.root, ETC, V2 + 'conf_dir = "/conf"\n')
    assert [each.ready for each in ready(host, "containerd>=2.0")] == [True]


def test_what_fails_for_certain_is_not_ready_whatever_else_is_not_known(host: Host) -> None:
    host.runtime = "containerd://1.7.29"
    host.config()
    named = V2 + 'conf_dir = "/etc/other/net.d"\n'
    put(host.root, ETC, f'imports = ["/etc/containerd/a.toml"]\n{named}')
    put(host.root, "etc/containerd/a.toml", V2.replace(".cni", "") + 'sandbox_image = "p"\n')
    (found,) = ready(host, "containerd>=1.6")
    assert found.ready is False
    assert "F1" in found.why
    assert found.why.endswith(found.other_folders)
    assert found.other_folders.startswith("containerd 2.0.0 to 2.0, containerd 2.1.0 to 2.3, ")


def test_folders_that_a_person_has_named_are_meant(host: Host) -> None:
    host.runtime = "containerd://2.0.4"
    host.config(text=OLD)
    put(host.root, ETC, V3 + 'bin_dir = "/usr/lib/cni"\n')
    hand = replace(USUAL, by_hand=(BY_HAND_CONFIGS, BY_HAND_PLUGINS))
    assert [each.ready for each in ready(host, "containerd>=2.0", paths=hand)] == [True]
    put(host.root, ETC, V3 + 'bin_dir = "/usr/lib/cni"\nmax_conf_num = 2\n')
    for named in ((), (BY_HAND_CONFIGS, BY_HAND_PLUGINS)):
        (found,) = ready(host, "cri-o>=1.34", paths=replace(USUAL, by_hand=named))
        assert found.ready is None, "what is read beside the folders was not named"
        assert "1 file of them in place of 2 files of them" in found.why
        assert ("plugins from" in found.why) is (not named)
    put(host.root, ETC, "version = 3\n[plug\n")
    (found,) = ready(host, "containerd>=2.1", paths=hand)
    assert found.ready is True, "they stand in for what is broken today already"


def test_an_apply_leaves_to_the_audit_what_it_does_not_see(host: Host) -> None:
    """The folders are given to it, and the runtime's configuration is not mounted."""
    host.runtime = "containerd://2.0.4"
    host.config(text=OLD)
    given = replace(USUAL, bin_dirs=("/opt/cni/bin",), known=Known("runtime config /x"))
    operation = replace(host.apply(), readiness_for=("containerd>=2.0",), paths=given)
    (found,) = report(run(operation)).readiness
    assert (found.ready, found.other_folders) == (True, "")


def test_a_move_of_folders_is_told_without_being_asked_for(host: Host) -> None:
    host.runtime = "containerd://2.0.4"
    host.config(text=OLD)
    put(host.root, ETC, V3 + 'bin_dir = "/opt/cni/bin"\nconf_dir = "/etc/cni/net.d"\n')
    assert "RuntimeMove" not in codes(run(host.audit())), "the default is the same folder"
    host.bin.rename(host.root / "usr-lib-cni")
    (host.root / "usr/lib").mkdir(parents=True)
    (host.root / "usr-lib-cni").rename(host.root / "usr/lib/cni")
    put(host.root, ETC, V3 + 'bin_dir = "/usr/lib/cni"\n')
    found = report(run(replace(host.audit(), paths=USUAL))).findings
    [move] = [each for each in found if each.code == "RuntimeMove"]
    assert move.message.startswith("under containerd 2.2.0 to 2.3, containerd 2.4.0 to 2.4: it ")
    assert "plugins from /opt/cni/bin in place of /usr/lib/cni" in move.message
    for runtime, releases in (
        ("containerd://2.1.4", "2.2.0 to 2.3, containerd 2.4.0 to 2.4"),  # of one libcni
        ("containerd://2.0.4-0ubuntu1", "2.2.0 to 2.3, containerd 2.4.0 to 2.4"),
        ("containerd://2.1", ""),
    ):
        host.runtime = runtime
        found = report(run(replace(host.audit(), paths=USUAL))).findings
        moves = [each.message for each in found if each.code == "RuntimeMove"]
        said = f"under containerd {releases}: it reads plugins"
        assert [each.startswith(said) for each in moves] == ([True] if releases else [])
