"""Ways out of the agents' fence: each spoils a pod in one thing, and with it why it is refused."""

import copy
from collections.abc import Callable

from tests.api.shipped import Object

Spoil = Callable[[Object], object]
COMMAND = {"exec": {"command": ["/usr/bin/python3"]}}


def first(pod: Object) -> Object:
    container: Object = pod["spec"]["containers"][0]
    return container


def host(pod: Object, path: str, **volume: object) -> None:
    """Mount one more host folder, as an agent would."""
    source = {"path": path, "type": "Directory", **volume}
    pod["spec"]["volumes"].append({"name": "more", "hostPath": source})
    mount = {"name": "more", "mountPath": f"/host{path}", "readOnly": True}
    first(pod)["volumeMounts"].append(mount)


def volume(pod: Object, **source: object) -> None:
    pod["spec"]["volumes"].append({"name": "more", **source})


def secure(pod: Object, **members: object) -> None:
    first(pod)["securityContext"].update(members)


def annotate(pod: Object, key: str, value: str) -> None:
    pod["metadata"]["annotations"][key] = value


def writable_plugins(pod: Object) -> None:
    """The folder of the plugins, whose programs root starts."""
    [name] = [v["name"] for v in pod["spec"]["volumes"] if v["hostPath"]["path"] == "/opt/cni/bin"]
    for mount in first(pod)["volumeMounts"]:
        if mount["name"] == name:
            mount["readOnly"] = False
            del mount["recursiveReadOnly"]


def second_mount(pod: Object, **members: object) -> None:
    mount = dict(first(pod)["volumeMounts"][0])
    mount.update(members)
    first(pod)["volumeMounts"].append(mount)


def other_container(pod: Object, member: str) -> None:
    pod["spec"].setdefault(member, []).append({**copy.deepcopy(first(pod)), "name": "other"})


BREAK_OUTS: dict[str, tuple[Spoil, str]] = {
    "another image": (
        lambda p: first(p).update(image="elsewhere.example/agent:1"),
        "the image must be cniupgrade.dev/agent:dev",
    ),
    "an image that begins alike": (
        lambda p: first(p).update(image="cniupgrade.dev/agent:dev-evil"),
        "the image must be",
    ),
    "a second container": (lambda p: other_container(p, "containers"), "one container"),
    "an init container": (lambda p: other_container(p, "initContainers"), "one container"),
    "a command": (lambda p: first(p).update(command=["python3", "-c", ""]), "entry point"),
    "arguments": (lambda p: first(p).update(args=["-c", ""]), "entry point"),
    "a working folder": (lambda p: first(p).update(workingDir="/host"), "entry point"),
    "a hook": (lambda p: first(p).update(lifecycle={"preStop": COMMAND}), "entry point"),
    "a probe": (lambda p: first(p).update(livenessProbe=COMMAND), "entry point"),
    "code by environment": (
        lambda p: first(p)["env"].append({"name": "PYTHONPATH", "value": "/host/etc"}),
        "environment",
    ),
    "a secret by environment": (
        lambda p: first(p).update(
            env=[
                {
                    "name": "CNI_UPGRADE_OPERATION",
                    "valueFrom": {"secretKeyRef": {"name": "x", "key": "y"}},
                }
            ]
        ),
        "environment",
    ),
    "a whole secret by environment": (
        lambda p: first(p).update(envFrom=[{"secretRef": {"name": "x"}}]),
        "environment",
    ),
    "host PID": (lambda p: p["spec"].update(hostPID=True), "host's namespaces"),
    "host IPC": (lambda p: p["spec"].update(hostIPC=True), "host's namespaces"),
    "the pod network": (lambda p: p["spec"].pop("hostNetwork"), "host's namespaces"),
    "a token by default": (
        lambda p: p["spec"].pop("automountServiceAccountToken"),
        "automountServiceAccountToken",
    ),
    "a token": (
        lambda p: p["spec"].update(automountServiceAccountToken=True),
        "automountServiceAccountToken",
    ),
    "a projected token": (
        lambda p: volume(p, projected={"sources": [{"serviceAccountToken": {"path": "t"}}]}),
        "volumes are",
    ),
    "a secret": (lambda p: volume(p, secret={"secretName": "x"}), "volumes are"),
    "an emptyDir": (lambda p: volume(p, emptyDir={}), "volumes are"),
    "the host's root": (lambda p: host(p, "/"), "volumes are"),
    "the sockets": (lambda p: host(p, "/run"), "volumes are"),
    "an empty path": (lambda p: host(p, ""), "hostPath.path: Required value"),
    "root's home": (lambda p: host(p, "/root"), "volumes are"),
    "a parent of a folder": (lambda p: host(p, "/var/lib/rancher"), "volumes are"),
    "a folder below": (lambda p: host(p, "/etc/kubernetes"), "volumes are"),
    "a folder by another spelling": (lambda p: host(p, "/etc/"), "volumes are"),
    "a way out": (lambda p: host(p, "/etc/cni/net.d/../../../root"), "must not contain '..'"),
    "the runtime's socket": (
        lambda p: host(p, "/run/containerd/containerd.sock", type="Socket"),
        "volumes are",
    ),
    "an untyped folder": (lambda p: host(p, "/etc", type=""), "volumes are"),
    "a folder made on the node": (
        lambda p: host(p, "/etc", type="DirectoryOrCreate"),
        "volumes are",
    ),
    "the plugins, writable": (writable_plugins, "under /host"),
    "a mount over the interpreter": (
        lambda p: second_mount(p, mountPath="/usr/lib/python3.11"),
        "under /host",
    ),
    "a part of a mount": (lambda p: second_mount(p, subPath="x", mountPath="/host/x"), "under"),
    "mounts that reach the host": (
        lambda p: first(p)["volumeMounts"][0].update(mountPropagation="HostToContainer"),
        "under /host",
    ),
    "privileged": (
        lambda p: secure(p, privileged=True, allowPrivilegeEscalation=True),
        "not privileged",
    ),
    "privilege escalation": (
        lambda p: secure(p, allowPrivilegeEscalation=True),
        "no privilege escalation",
    ),
    "privilege escalation by default": (
        lambda p: first(p)["securityContext"].pop("allowPrivilegeEscalation"),
        "no privilege escalation",
    ),
    "a capability": (
        lambda p: secure(p, capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
        "every capability",
    ),
    "capabilities kept": (
        lambda p: secure(p, capabilities={"drop": ["NET_RAW"]}),
        "every capability",
    ),
    "capabilities by default": (
        lambda p: first(p)["securityContext"].pop("capabilities"),
        "every capability",
    ),
    "no security context": (lambda p: first(p).pop("securityContext"), "every capability"),
    "a writable root": (lambda p: secure(p, readOnlyRootFilesystem=False), "read-only"),
    "a writable root by default": (
        lambda p: first(p)["securityContext"].pop("readOnlyRootFilesystem"),
        "read-only",
    ),
    "no seccomp": (
        lambda p: secure(p, seccompProfile={"type": "Unconfined"}),
        "seccomp",
    ),
    "another SELinux type": (lambda p: secure(p, seLinuxOptions={"type": "spc_t"}), "SELinux"),
    "no AppArmor": (lambda p: secure(p, appArmorProfile={"type": "Unconfined"}), "AppArmor"),
    "no AppArmor, by annotation": (
        lambda p: annotate(p, "container.apparmor.security.beta.kubernetes.io/agent", "unconfined"),
        "no such annotation: container.apparmor",
    ),
    "devices of CRI-O": (
        lambda p: annotate(p, "io.kubernetes.cri-o.Devices", "/dev/sda"),
        "no such annotation: io.kubernetes.cri-o.Devices",
    ),
    "devices of a plugin of the runtime": (
        lambda p: annotate(p, "devices.nri.io/container.agent", "- {path: /dev/sda, type: b}"),
        "no such annotation: devices.nri.io/container.agent",
    ),
    "a device by CDI": (
        lambda p: annotate(p, "cdi.k8s.io/x", "vendor.example/d=all"),
        "no such annotation: cdi.k8s.io/x",
    ),
    "the host itself, on Windows": (
        lambda p: secure(p, windowsOptions={"hostProcess": True}),
        "no windowsOptions",
    ),
    "the host itself, on Windows, for the whole pod": (
        lambda p: p["spec"].update(securityContext={"windowsOptions": {"hostProcess": True}}),
        "no windowsOptions",
    ),
    "a group of the host": (
        lambda p: p["spec"].update(securityContext={"supplementalGroups": [6]}),
        "groups",
    ),
    "an answer into a mount": (
        lambda p: first(p).update(terminationMessagePath="/host/etc/x"),
        "/dev/termination-log",
    ),
    "a device": (
        lambda p: first(p).update(volumeDevices=[{"name": "host-0", "devicePath": "/dev/x"}]),
        "for block mode",
    ),
    "a device by its name": (
        lambda p: first(p).update(resources={"limits": {"vendor.example/device": "1"}}),
        "resources are",
    ),
    "huge pages": (
        lambda p: first(p).update(
            resources={"limits": {"hugepages-2Mi": "2Mi", "memory": "1Mi", "cpu": "1"}}
        ),
        "resources are",
    ),
    "a claim to a device": (
        lambda p: (
            p["spec"].update(resourceClaims=[{"name": "more", "resourceClaimName": "x"}]),
            first(p).update(resources={"claims": [{"name": "more"}]}),
        ),
        "without devices",
    ),
    "huge pages for the whole pod": (
        lambda p: p["spec"].update(resources={"limits": {"hugepages-2Mi": "2Mi", "cpu": "1"}}),
        "resources are",
    ),
    "a pod that stays": (lambda p: p["spec"].update(restartPolicy="Always"), "runs once"),
    "a container that stays": (lambda p: first(p).update(restartPolicy="Always"), "runs once"),
    "another priority": (
        lambda p: p["spec"].update(
            priorityClassName="system-node-critical", preemptionPolicy="PreemptLowerPriority"
        ),
        "priorityClassName",
    ),
}
