"""cni-upgrade on a machine in a folder: what it says, what it writes, how it exits."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from cni_upgrade.agent.protocol.operation import Result
from cni_upgrade.cli import options
from cni_upgrade.cli.main import main
from tests.unit.agent.host import VERSIONLESS, Host
from tests.unit.cli.asking import Captured, ask, flat

MANIFEST = Path(__file__).parents[3] / "manifests/config.yaml"


def test_from_the_audit_to_the_restore(host: Host, capsys: Captured) -> None:
    before = host.tree()
    assert ask(host, "audit") == 1
    text = capsys.readouterr().out
    assert "Verdict  Rewrite" in text
    assert "F1" in text
    assert "Plugins  /opt/cni/bin" in text

    assert ask(host, "plan") == 1
    assert "missing  1.0.0  rewrite" in capsys.readouterr().out
    assert ask(host, "diff") == 1
    assert '+  "cniVersion": "1.0.0",' in capsys.readouterr().out
    assert ask(host, "backups") == 0
    assert "no backups" in capsys.readouterr().out
    assert host.tree() == before, "none of these writes"

    assert ask(host, "apply") == 0
    assert "missing -> 1.0.0" in capsys.readouterr().out
    assert '"cniVersion": "1.0.0"' in (host.conf / "10-pod.conflist").read_text()
    for verb in ("audit", "plan", "diff", "apply"):
        assert ask(host, verb) == 0, verb
    capsys.readouterr()

    assert ask(host, "backups", "-o", "json") == 0
    backups = json.loads(capsys.readouterr().out)
    made = backups["backups"][0]
    assert [file["name"] for file in made["files"]] == ["10-pod.conflist"]
    assert ask(host, "backups") == 0
    assert made["id"] in capsys.readouterr().out
    assert ask(host, "restore", made["id"]) == 1
    assert (host.conf / "10-pod.conflist").read_text() == VERSIONLESS
    assert "F1" in capsys.readouterr().out, "what the backup was made to cure is there again"


def test_json_is_the_agents_result(host: Host, capsys: Captured) -> None:
    assert ask(host, "audit", "-o", "json") == 1
    result = Result.from_json(json.loads(capsys.readouterr().out))
    assert result.report is not None
    assert result.report.files[0].to == "1.0.0"
    assert ask(host, "plan", "-o", "json") == 1
    plan = json.loads(capsys.readouterr().out)
    assert plan["files"][0]["patch"][-1] == {"op": "add", "path": "/cniVersion", "value": "1.0.0"}
    assert ask(host, "diff", "-o", "json") == 1
    assert set(json.loads(capsys.readouterr().out)["diffs"]) == {"10-pod.conflist"}
    assert ask(host, "apply", "-o", "json") == 0
    assert Result.from_json(json.loads(capsys.readouterr().out)).changes


def test_the_patch_spells_numbers_as_the_file_does(host: Host, capsys: Captured) -> None:
    host.config(text=VERSIONLESS.replace("{\n", '{\n  "cniVersion": 1.50E3,\n', 1))
    assert ask(host, "plan", "-o", "json") == 1
    assert '"op": "test",\n          "path": "/cniVersion",\n          "value": 1.50E3\n' in (
        capsys.readouterr().out
    )
    assert ask(host, "plan", "-o", "yaml") == 1
    assert "value: !!float 1.50E3\n" in capsys.readouterr().out


def test_options_reach_the_engine(host: Host, capsys: Captured) -> None:
    for name in ("host-local", "portmap", "loopback"):
        host.plugin(name, "0.4.0")
    assert ask(host, "plan", "--exact") == 1
    assert "refuse" in capsys.readouterr().out
    assert ask(host, "apply", "--exact") == 2
    assert "nothing was written: Blocked: 10-pod.conflist" in capsys.readouterr().err
    assert ask(host, "diff", "--exact") == 2
    assert "Blocked: 10-pod.conflist: host-local supports" in capsys.readouterr().err
    assert ask(host, "plan", "--target", "0.3.1") == 1
    assert "0.3.1" in capsys.readouterr().out
    host.config(text=VERSIONLESS.replace("{", '{"cniVersion": "0.3.1",', 1))
    assert ask(host, "plan", "--only-faulty") == 0
    assert ask(host, "plan") == 1


def test_a_refusal_names_the_file_that_is_meant_once_and_no_other(
    host: Host, capsys: Captured
) -> None:
    host.config("05-broken.conflist", text="{")
    host.config("20-unused.conflist")
    assert ask(host, "diff") == 2
    said = capsys.readouterr().err
    assert said.startswith("cni-upgrade: Blocked: 05-broken.conflist: Unparsable: ")
    assert said.count("05-broken.conflist") == 1
    assert "10-pod" not in said
    assert "20-unused" not in said


TWO_NETWORKS = (
    'version = 2\n[plugins."io.containerd.grpc.v1.cri".cni]\n'
    'conf_dir = "/etc/cni/net.d"\nbin_dir = "/opt/cni/bin"\nmax_conf_num = 2\n'
)


@pytest.mark.parametrize(
    ("other", "verdict"), [("macvlan", "Blocked"), ("flannel", "Managed")], ids=["refused", "left"]
)
def test_where_one_of_two_files_is_not_written_none_is(
    host: Host, other: str, verdict: str, capsys: Captured
) -> None:
    """Every pod joins both networks: a node that is half cured is not what `plan` has shown."""
    own = host.root / "etc/containerd/config.toml"
    own.parent.mkdir()
    own.write_text(TWO_NETWORKS)
    assert ask(host, "diff") == 1
    assert "10-pod.conflist" in capsys.readouterr().out
    text = VERSIONLESS.replace("pod-net", "other").replace('"bridge"', f'"{other}"')
    second = host.config(f"20-{other}.conflist", text)
    if verdict == "Managed":
        host.plugin(other)
    before = host.tree()
    assert ask(host, "plan", "-o", "json") == 1
    planned = json.loads(capsys.readouterr().out)
    assert planned["verdict"] == verdict
    assert [each["patch"] for each in planned["files"]] == [[], []]
    assert ask(host, "diff") == (2 if verdict == "Blocked" else 1)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert f"{verdict}: {second.name}: " in shown.err
    assert ask(host, "apply") == 2
    assert f"nothing was written: {verdict}: {second.name}: " in capsys.readouterr().err
    assert host.tree() == before


def pods_without_a_version(host: Host, version: str | None) -> tuple[str, ...]:
    """A pod of which libcni 0.8.1 cannot make a result at 0.4.0, beneath a file at that version."""
    host.runtime = "containerd://1.4.13"
    start = "{\n" if version is None else f'{{\n  "cniVersion": "{version}",\n'
    host.config(text=VERSIONLESS.replace("{\n", start, 1))
    host.sandbox(None)
    return ("--exact", "--target", "0.4.0")


def test_where_a_drain_comes_first_every_verb_says_so(host: Host, capsys: Captured) -> None:
    exact = pods_without_a_version(host, "0.3.1")
    for verb in ("audit", "plan"):
        assert ask(host, verb, *exact) == 1
        told = flat(capsys)
        assert "Verdict Rewrite: a rewrite helps once the node is drained" in told
        assert "`cni-upgrade apply` does it" not in told
    assert ask(host, "plan", *exact, "-o", "json") == 1
    planned = json.loads(capsys.readouterr().out)
    assert planned["needsDrain"] is True
    assert planned["files"][0]["patch"]
    assert ask(host, "diff", *exact) == 1
    shown = capsys.readouterr()
    assert '+  "cniVersion": "0.4.0",' in shown.out
    assert "NeedsDrain: SandboxLimit: " in shown.err
    assert "drain the node before an apply" in shown.err
    assert ask(host, "diff", *exact, "-o", "json") == 1
    assert json.loads(capsys.readouterr().out)["needsDrain"] is True
    before = (host.conf / "10-pod.conflist").read_bytes()
    assert ask(host, "apply", *exact) == 2
    assert "NeedsDrain: " in capsys.readouterr().out
    assert (host.conf / "10-pod.conflist").read_bytes() == before
    next(host.results.iterdir()).unlink()
    for verb in ("plan", "diff"):
        assert ask(host, verb, *exact, "-o", "json") == 1
        assert json.loads(capsys.readouterr().out)["needsDrain"] is False
    assert ask(host, "diff", *exact) == 1
    assert capsys.readouterr().err == ""
    assert ask(host, "apply", *exact) == 0


def test_the_way_to_an_exact_target_where_pods_hang(host: Host, capsys: Captured) -> None:
    """First what makes a drain end; it is said before, and the exit code says that more is due."""
    exact = pods_without_a_version(host, None)
    assert ask(host, "plan", *exact) == 1
    told = flat(capsys)
    assert "missing 0.3.1 rewrite" in told
    assert "first 0.3.1, with which the pods that run now can be deleted; 0.4.0 once they" in told
    assert ask(host, "apply", *exact) == 1
    told = flat(capsys)
    assert "missing -> 0.3.1" in told
    assert "a rewrite helps once the node is drained" in told
    assert ask(host, "apply", *exact) == 2, "not before the drain"
    next(host.results.iterdir()).unlink()
    assert ask(host, "apply", *exact) == 0
    assert '"cniVersion": "0.4.0"' in (host.conf / "10-pod.conflist").read_text()


def test_folders_of_ones_own(host: Host, capsys: Captured) -> None:
    host.conf.rename(host.root / "conf")
    host.bin.rename(host.root / "bin")
    assert ask(host, "audit") == 1
    assert "FolderMissing" in capsys.readouterr().out
    (host.root / "more").mkdir()
    folders = ("--config-dir", "/conf", "--bin-dir", "bin", "--bin-dir", "/more")
    assert ask(host, "apply", *folders, "--state-dir", "/state") == 0
    assert (host.root / "state/backups").is_dir()


def test_one_order_of_folders_for_the_agent_and_for_a_person(host: Host, capsys: Captured) -> None:
    """Naming the plugins' folder makes no configs known; naming the configs' one does."""
    host.plugins()
    host.config()
    other = host.root / "etc/kubernetes/cni/net.d"
    other.mkdir(parents=True)
    shutil.copy(host.conf / "10-pod.conflist", other)
    for named in ((), ("--bin-dir", "/opt/cni/bin")):
        assert ask(host, "audit", *named) == 1
        assert "FolderAmbiguous" in capsys.readouterr().out
        assert ask(host, "apply", *named) == 2
        assert not host.state.exists() or not (host.state / "backups").exists()
        capsys.readouterr()
    assert ask(host, "audit", "--config-dir", "/etc/cni/net.d") == 1
    said = flat(capsys)
    assert "/etc/cni/net.d (known from --config-dir; the rest: preset)" in said
    assert "FolderAmbiguous" not in said
    configured = yaml.safe_load(yaml.safe_load(MANIFEST.read_text())["data"]["config.yaml"])
    auto = configured["auto"]
    usual = [each for each in options.CONFIG_FOLDERS if "/snap/" not in each]
    assert usual == auto["confDirs"]
    bins = [each for each in options.PLUGIN_FOLDERS if "/snap/" not in each]
    assert bins == auto["binDirs"]
    for name, preset in configured["presets"].items():
        assert set(preset["confDirs"]) <= set(options.CONFIG_FOLDERS), name
        assert set(preset["binDirs"]) <= set(options.PLUGIN_FOLDERS), name


def test_a_runtime_that_is_not_known_here(host: Host, capsys: Captured) -> None:
    host.runtime = "containerd://2.9.0"
    assert ask(host, "audit") == 1
    assert "or --libcni" in flat(capsys)
    assert ask(host, "audit", "--libcni", "1.3.1") == 1
    assert "carries libcni 1.3.1, as whoever runs this tool says" in flat(capsys)
    assert ask(host, "apply", "--libcni", "1.3.1") == 1, "it is written, and not known to work"
    assert "containerd 2.9.0 may ask CHECK of every pod" in flat(capsys)
    assert ask(host, "audit", "--libcni", "9.0.0") == 2
    assert "--libcni 9.0.0: expected a release of one of 0.8" in capsys.readouterr().err


def test_a_runtime_whose_way_with_cni_is_not_known(host: Host, capsys: Captured) -> None:
    """No release of libcni would tell it, so nobody is sent to an option that does not help."""
    host.runtime = "docker://24.0.1"
    assert ask(host, "audit") == 1
    said = flat(capsys)
    assert "it is not known which libcni docker 24.0.1 carries" in said
    assert "--libcni" not in said
    assert "only containerd and CRI-O are known here" in said
    assert ask(host, "audit", "--libcni", "1.1.2") == 2
    assert "--libcni 1.1.2: of docker it tells nothing" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--config-dir", "--bin-dir", "--cache-dir"])
def test_a_folder_that_was_named_must_be_there(option: str, host: Host, capsys: Captured) -> None:
    """A typing error is not a machine without configs, plugins or running pods."""
    assert ask(host, "audit", option, "/none") == 2
    assert f"{option} /none beneath {host.root}: No such file" in capsys.readouterr().err


def test_what_the_runtimes_configuration_names_is_looked_at(host: Host, capsys: Captured) -> None:
    """Nothing stands between a person and a folder: the usual ones are no limit, as an agent's
    are; and what is named by hand goes before what the runtime names."""
    host.conf.rename(host.root / "conf")
    own = host.root / "etc/containerd/config.toml"
    own.parent.mkdir()
    own.write_text(
        'version = 2\n[plugins."io.containerd.grpc.v1.cri".cni]\n'
        'conf_dir = "/conf"\nbin_dir = "/b"\n'
    )
    host.bin.rename(host.root / "b")
    assert ask(host, "plan") == 1
    assert "missing  1.0.0  rewrite" in capsys.readouterr().out
    host.bin.mkdir()
    assert ask(host, "plan", "--bin-dir", "/opt/cni/bin") == 1
    assert "bridge is not there" in capsys.readouterr().out


def test_without_a_root_a_path_is_meant_from_here(
    host: Host, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(host.root)
    assert (
        main(
            [
                "audit",
                "--config-dir",
                "etc/cni/net.d",
                "--bin-dir",
                "opt/cni/bin",
                "--cache-dir",
                "var/lib/cni",
                "--runtime",
                "containerd://1.6.2",
            ]
        )
        == 1
    )
    assert f"Configs  {host.conf}" in capsys.readouterr().out


def test_an_unknown_runtime_promises_nothing(host: Host, capsys: Captured) -> None:
    assert main(["audit", "--root", str(host.root)]) == 1
    text = capsys.readouterr().out
    assert "--runtime containerd://1.6.2" in text
    assert "Verdict  Blocked" in text


def test_a_diff_of_what_is_left_to_its_writer_is_not_nothing(host: Host, capsys: Captured) -> None:
    """F1 stands there: a job that asks `diff` alone must not read that all is well."""
    (host.conf / "10-pod.conflist").unlink()
    host.plugin("flannel")
    host.config("10-flannel.conflist", VERSIONLESS.replace('"bridge"', '"flannel"'))
    assert ask(host, "audit") == 1
    assert "Verdict  Managed" in capsys.readouterr().out
    source = "ConfigMap kube-flannel/kube-flannel-cfg"
    assert ask(host, "plan") == 1
    assert source in flat(capsys)
    assert ask(host, "diff") == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Managed: 10-flannel.conflist: " in shown.err
    assert source in shown.err
    assert ask(host, "apply") == 2
    assert source in capsys.readouterr().err
    assert ask(host, "diff", "--override-managed") == 1
    shown = capsys.readouterr()
    assert '+  "cniVersion": "1.0.0",' in shown.out
    assert shown.err == ""


@pytest.mark.parametrize("error", [MemoryError("no room"), KeyError("x"), RecursionError("deep")])
def test_what_nobody_has_foreseen_is_no_finding(
    error: Exception, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python would end with 1, which is what a job takes for "something was found"."""

    def failing() -> None:
        raise error

    monkeypatch.setattr("cni_upgrade.cli.verbs.explained.index", failing)
    assert main(["explain"]) == 2
    told = capsys.readouterr().err
    assert f"cni-upgrade: a fault of cni-upgrade itself: {type(error).__name__}" in told
    assert "in failing" in told


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["audit", "--target", "1.0"], "expected one of 0.1.0"),
        (["restore", "../../etc"], "expected the id of a backup"),
        (["explain", "F99"], "there is no word"),
        (["audit", "--runtime", "1.6.2"], "expected one of containerd://VERSION"),
        (["audit", "--runtime", "cri://1.23.0"], "cri-o://VERSION"),
        (["audit", "--readiness", "containerd"], "in quotes"),
        (["audit", "--readiness", "containerd>=9.9"], "that is known here, the newest is 2.4"),
        (["audit", "--root", "/none"], "--root /none: No such file"),
        (["audit", "--root", "/", "--config-dir", "/none"], "--config-dir /none: No such file"),
        (["apply", "--root", "/usr", "--state-dir", "../etc"], "without `..`"),
    ],
)
def test_what_makes_no_sense(arguments: list[str], text: str, capsys: Captured) -> None:
    assert main(arguments) == 2
    assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["apply", "--over"],
        ["apply", "--override"],
        ["audit", "--run", "containerd://1.6.2"],
        ["restore", "apply-0", "--roll"],
        ["audit", "--outp", "json"],
        ["--vers"],
    ],
)
def test_an_option_is_taken_by_its_whole_name_only(arguments: list[str], capsys: Captured) -> None:
    """`apply --over` was `--override-managed`: what is short today is ambiguous tomorrow."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "unrecognized arguments" in (told := capsys.readouterr().err) or "required" in told


def test_cri_o_is_known_by_both_of_its_names(host: Host, capsys: Captured) -> None:
    reports = []
    for name in ("cri-o", "crio"):
        asked = ("--readiness", f"{name}>=1.24", "-o", "json")
        main(["audit", "--root", str(host.root), "--runtime", f"{name}://1.23.0", *asked])
        reports.append(json.loads(capsys.readouterr().out)["report"])
    assert [report["runtime"] for report in reports] == [reports[0]["runtime"]] * 2
    assert reports[0]["runtime"]["name"] == "cri-o"
    assert [each["ready"] for each in reports[0]["readiness"]] == [
        each["ready"] for each in reports[1]["readiness"]
    ]


def test_nothing_is_called_well_where_pods_cannot_be_deleted(host: Host, capsys: Captured) -> None:
    """CRI-O 1.23 deletes with the config that it cached, which no file changes."""
    host.runtime = "cri-o://1.23.0"
    host.config()
    host.sandbox(None)
    for verb, found in (("apply", 1), ("audit", 1), ("plan", 0), ("apply", 0)):
        assert ask(host, verb) == found, verb
        told = flat(capsys)
        assert "nothing is to be done" not in told, verb
        assert "pods that were added before cannot be deleted all the same" in told


def test_which_pods_run_is_told(host: Host, capsys: Captured) -> None:
    """A finding names three of them and counts the rest."""
    for number in range(23):
        path = host.sandbox(None, container=f"{number:012x}" * 2)
        entry = json.loads(path.read_text())
        names = [["K8S_POD_NAMESPACE", "shop"], ["K8S_POD_NAME", f"cart-{number:02}"]]
        path.write_text(json.dumps({**entry, "cniArgs": names}))
    host.sandbox("0.4.0", container="abcdef012345" * 2)
    host.config()
    assert ask(host, "audit") == 1
    told = flat(capsys)
    pods = ", ".join(f"shop/cart-{number:02}" for number in range(20))
    assert f"23 added with no version: {pods} and 3 more" in told
    assert "1 added at 0.4.0: container abcdef012345" in told
    assert ask(host, "audit", "-o", "json") == 1
    named = json.loads(capsys.readouterr().out)["report"]["pods"]
    assert named == {"missing": [f"shop/cart-{number:02}" for number in range(20)]}


def test_readiness(host: Host, capsys: Captured) -> None:
    asked = ("--readiness", "containerd>=2.0", "--readiness", "cri-o>=1.23")
    assert ask(host, "audit", *asked, "-o", "json") == 1
    answers = json.loads(capsys.readouterr().out)["report"]["readiness"]
    assert [each["ready"] for each in answers] == [True, False]
    assert ask(host, "audit", *asked) == 1
    text = capsys.readouterr().out
    assert "containerd>=2.0  yes" in text
    assert "cri-o>=1.23      no" in text
    assert ask(host, "apply") == 0
    assert ask(host, "audit", *asked[:2]) == 0
    capsys.readouterr()
    assert ask(host, "audit", *asked) == 1, "which releases the plugins are of is not known"
    assert "cri-o>=1.23      unknown" in capsys.readouterr().out
    host.plugin("bridge", "0.4.0")
    host.config(text=VERSIONLESS.replace("{", '{"cniVersion": "0.4.0",', 1))
    assert ask(host, "audit") == 0
    for name in ("host-local", "portmap", "loopback"):
        host.plugin(name, "0.4.0")
    assert ask(host, "audit", "--readiness", "containerd>=1.6") == 1, "loopback and 1.6.3"


def test_what_a_later_runtime_would_break_is_for_information(host: Host, capsys: Captured) -> None:
    host.runtime = "containerd://1.5.18"
    host.plugins("0.4.0")
    host.config(text=VERSIONLESS.replace("{", '{"cniVersion": "0.4.0",', 1))
    assert ask(host, "audit") == 0
    told = flat(capsys)
    assert "Info RuntimeMove" in told
    assert "Warning" not in told


def test_yaml_is_the_same_document(host: Host, capsys: Captured) -> None:
    for verb in ("audit", "plan", "diff", "backups", "apply"):
        documents = []
        for form, read in (("yaml", yaml.safe_load), ("json", json.loads)):
            ask(host, verb, "-o", form)
            documents.append(read(capsys.readouterr().out))
        for document in documents:
            document.pop("id", None)
            if verb != "apply":  # the second one has nothing to do
                assert document == documents[0], verb


def test_what_a_terminal_would_obey_is_escaped(host: Host, capsys: Captured) -> None:
    (host.conf / "00-\x1b[31mred\n.conf").write_text('{"name": "x\\u009b", "type": "bridge"}')
    ask(host, "audit")
    text = capsys.readouterr().out
    assert "00-\\x1b[31mred\\n.conf" in text
    assert all(line.isprintable() for line in text.splitlines())


def test_the_machine_beneath_a_root_has_its_own_name(host: Host, capsys: Captured) -> None:
    ask(host, "audit", "-o", "json")
    assert json.loads(capsys.readouterr().out)["node"] == ""
    (host.root / "etc/hostname").write_text("node-a\n")
    ask(host, "audit", "-o", "json")
    assert json.loads(capsys.readouterr().out)["node"] == "node-a"


def test_no_verb_shows_the_help(capsys: Captured) -> None:
    """And is not 0: that would be "nothing to do" to a script whose verb is empty."""
    assert main([]) == 2
    shown = capsys.readouterr()
    assert "Example: cni-upgrade audit" in shown.out
    assert not shown.err
