#!/bin/sh
# Take the CNI upgrade operator out of a cluster: sh manifests/uninstall.sh
#
# Ends with no cordon of ours, no Job, no finalizer left, or says what is left and exits 1. Safe to repeat.
# First the policies go and the controller gets the time to finish what it is doing (WAIT seconds, default 600),
# which includes giving back what policies with deletionPolicy Restore have changed.
# If it does not, it is stopped, and the nodes that carry our mark are uncordoned from here; no other node is.
#
# Kept on the nodes: the backups in the state folder (/var/lib/cni-upgrade), which may be wanted yet.
# Needs kubectl and a cluster administrator's rights. KUBECTL names another kubectl or adds options.
set -eu

KUBECTL=${KUBECTL:-kubectl}
WAIT=${WAIT:-600}
# How long each deletion is waited for.
PATIENCE=${PATIENCE:-180}
# How long a proof pod has to end of itself; its grace period is a second.
PROOFS=${PROOFS:-60}
SYSTEM=cni-upgrade-system
AGENTS=cni-upgrade-agents
PROOF=cni-upgrade-proof
NAME=cni-upgrade-operator
CRDS='cniupgradepolicies.cniupgrade.dev cninodestates.cniupgrade.dev'

say() { echo "uninstall: $*"; }

# shellcheck disable=SC2086 # KUBECTL may carry options
k() { $KUBECTL "$@"; }

# An absent object, namespace or kind is what is wanted here; every other error is one.
quiet() {
    if ! answer=$(k "$@" 2>&1); then
        case $answer in
        *NotFound* | *"not found"* | *"the server doesn't have a resource type"* | *"no matches for kind"*) ;;
        *)
            echo "$answer" >&2
            return 1
            ;;
        esac
    fi
}

# Lines of a list; nothing where the kind is not served.
list() {
    if ! answer=$(k get "$@" 2>&1); then
        case $answer in
        *"the server doesn't have a resource type"* | *NotFound* | *"not found"* | *"No resources found"*) return 0 ;;
        *)
            echo "$answer" >&2
            return 1
            ;;
        esac
    fi
    case $answer in "No resources found"*) return 0 ;; esac
    echo "$answer" | sed '/^$/d'
}

cordoned() {
    list nodes -o 'jsonpath={range .items[?(@.metadata.annotations.cniupgrade\.dev/cordoned-by)]}{.metadata.name}{"\n"}{end}'
}

# Operations that change a node. An audit changes nothing and may be cut short.
at_work() {
    rows=$(list cninodestates.cniupgrade.dev \
        -o 'jsonpath={range .items[?(@.status.operation)]}{.metadata.name} {.status.operation.kind}{"\n"}{end}') || return 1
    echo "$rows" | sed -e '/^$/d' -e '/ audit$/d' -e 's/ .*//'
}

# Policies that are held by our finalizer: they give back what they changed.
held() {
    rows=$(list cniupgradepolicies.cniupgrade.dev \
        -o 'jsonpath={range .items[*]}{.metadata.name} {.metadata.finalizers}{"\n"}{end}') || return 1
    echo "$rows" | sed -n '/"cniupgrade\.dev\/restore"/s/ .*//p'
}

# Take our finalizer off a policy, and no other one: where it stands in the list is tested by the request.
let_go() {
    place=0
    for name in $(k get cniupgradepolicies.cniupgrade.dev "$1" -o 'jsonpath={range .metadata.finalizers[*]}{@}{"\n"}{end}'); do
        if [ "$name" = cniupgrade.dev/restore ]; then
            k patch cniupgradepolicies.cniupgrade.dev "$1" --type=json -p "[
                {\"op\": \"test\", \"path\": \"/metadata/finalizers/$place\", \"value\": \"$name\"},
                {\"op\": \"remove\", \"path\": \"/metadata/finalizers/$place\"}]" >/dev/null
            return
        fi
        place=$((place + 1))
    done
}

ready() {
    list -n $SYSTEM deployment/$NAME -o 'jsonpath={.status.readyReplicas}'
}

k version >/dev/null 2>&1 || {
    k version 2>&1 | tail -1 >&2
    say "the cluster cannot be reached"
    exit 1
}

say "deleting the policies"
quiet delete cniupgradepolicies.cniupgrade.dev --all --wait=false

deadline=$(($(date +%s) + WAIT))
while :; do
    # Each in an assignment of its own: a list that fails ends the script, it is not an empty list.
    ours=$(cordoned)
    working=$(at_work)
    held=$(held)
    running=$(ready)
    left=$(printf '%s\n%s\n%s\n' "$ours" "$working" "$held" | sed '/^$/d' | sort -u | tr '\n' ' ')
    [ -n "$left" ] || break
    if [ -z "$running" ]; then
        say "no controller is running that could finish with: $left"
        break
    fi
    if [ "$(date +%s)" -ge "$deadline" ]; then
        say "not finished within $WAIT s: $left"
        break
    fi
    say "the controller is finishing with: $left"
    sleep 5
done

say "stopping the controller"
quiet -n $SYSTEM delete deployment $NAME --cascade=foreground --timeout=${PATIENCE}s ||
    say "the controller's node does not answer"

for policy in $(held); do
    say "policy $policy: nobody is left to give back what it changed; its nodes keep it"
    let_go "$policy" || say "policy $policy: its finalizer could not be taken off"
done

# Foreground: a Job is gone when its pods are; an agent in the middle of a write ends its write.
say "taking back the agents and proof pods"
quiet -n $AGENTS delete jobs --all --cascade=foreground --timeout=${PATIENCE}s ||
    say "a node does not answer: its agent goes when the node is back"
# Where the config of its node cannot delete pods it would hang until somebody mends that, and its namespace with it.
if ! quiet -n $PROOF delete pods --all --timeout=${PROOFS}s; then
    say "taking away by force what its node cannot delete, where an address may stay taken:" \
        "$(list -n $PROOF pods -o 'jsonpath={range .items[*]}{.metadata.name} on {.spec.nodeName} {end}')"
    quiet -n $PROOF delete pods --all --grace-period=0 --force --timeout=${PATIENCE}s ||
        say "a proof pod is still there"
fi

ours=$(cordoned)
for node in $ours; do
    owner=$(k get node "$node" -o 'jsonpath={.metadata.annotations.cniupgrade\.dev/cordoned-by}')
    say "uncordoning $node"
    # One request: only if the mark is still the one that was read.
    k patch node "$node" --type=json -p "[
        {\"op\": \"test\", \"path\": \"/metadata/annotations/cniupgrade.dev~1cordoned-by\", \"value\": \"$owner\"},
        {\"op\": \"remove\", \"path\": \"/metadata/annotations/cniupgrade.dev~1cordoned-by\"},
        {\"op\": \"add\", \"path\": \"/spec/unschedulable\", \"value\": false}]" >/dev/null || say "$node: somebody else has changed the mark"
done

say "deleting the rest"
# The admission policies before the ConfigMap that they read.
for policy in cni-upgrade-agent-pods cni-upgrade-agent-pods-fixed cni-upgrade-agent-pods-stopped cni-upgrade-agent-pods-closed cni-upgrade-node-writes \
    cni-upgrade-policy-writes; do
    quiet delete validatingadmissionpolicybinding $policy
    quiet delete validatingadmissionpolicy $policy
done
for crd in $CRDS; do
    quiet delete customresourcedefinition "$crd" --timeout=${PATIENCE}s ||
        say "something holds one of the $crd: see its finalizers"
done
quiet delete namespace $AGENTS $PROOF $SYSTEM --timeout=${PATIENCE}s || say "a namespace is not gone yet"
for space in default kube-system kube-flannel medik8s-leases; do
    quiet -n $space delete rolebinding $NAME
    quiet -n $space delete role $NAME
done
quiet delete clusterrolebinding $NAME
quiet delete clusterrole $NAME
quiet delete priorityclass cni-upgrade-agent cni-upgrade-controller

left=
ours=$(cordoned)
[ -z "$ours" ] || left="$left; cordoned by us: $(echo "$ours" | tr '\n' ' ')"
for kind in namespace customresourcedefinition; do
    there=$(list $kind -o name)
    for name in $AGENTS $PROOF $SYSTEM $CRDS; do
        case "$there" in *"/$name"*) left="$left; $kind $name" ;; esac
    done
done
if [ -n "$left" ]; then
    say "left: ${left#; }"
    exit 1
fi
say "done: no cordon, no Job and no finalizer of the operator is left"
