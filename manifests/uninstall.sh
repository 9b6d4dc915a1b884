#!/bin/sh
# Take the CNI upgrade operator out of a cluster: sh manifests/uninstall.sh
#
# Ends with no cordon of ours, no Job, no finalizer left, or says what is left and exits 1. Safe to repeat.
# First the policies go and the controller gets the time to finish what it is doing (WAIT seconds, default 600),
# which includes giving back what policies with deletionPolicy Restore have changed.
# If it does not, it is stopped, and the nodes that we have cordoned are uncordoned from here; no other node is.
# A cordon beneath which somebody else drains, by their Lease on the node, is left to them and said.
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
# Where the Leases on nodes are (leaseNamespace of config.yaml); need not be there.
LEASES=${LEASES:-medik8s-leases}
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
# What kubectl says beside them is judged where it failed, and never taken for lines: it complains of each aggregated
# API that is down, as metrics-server is where pods have no network, and lists all the same.
list() {
    { complaint=$(k get "$@" 2>&1 >&3) || judge; } 3>&1
}

judge() {
    case $complaint in
    *"the server doesn't have a resource type"* | *NotFound* | *"not found"*) ;;
    *)
        echo "$complaint" >&2
        return 1
        ;;
    esac
}

# Leases on nodes, one a line: name|holder.
leases() {
    list -n "$LEASES" leases.coordination.k8s.io -o 'jsonpath={range .items[*]}{.metadata.name}|{.spec.holderIdentity}{"\n"}{end}'
}

# Who else has a node, by the lines in $leases. One that has expired counts as well: a cordon too many is said and
# seen, while one that is taken from a drain is not.
drains() {
    echo "$leases" | while IFS='|' read -r lease holder; do
        [ "$lease" != "node-$1" ] || [ "$holder" = "$NAME" ] || echo "$holder"
    done
}

# Nodes that carry a cordon or a mark of ours, one a line: name, version, what is to be given back, mark, who drains.
# Whose cordon it is goes by who has written it last, as the controller decides it (docs/explanation/cordons.md); by our mark
# where the API server keeps no notes of that. Our mark beneath somebody else's cordon goes alone, and so does it where
# somebody else drains: they rely on the cordon that they found.
carried() {
    leases=$(leases) || return 1
    rows=$(list nodes "$@" -o 'jsonpath={range .items[*]}{.metadata.name}|{.metadata.resourceVersion}|{.spec.unschedulable}|{.metadata.annotations.cniupgrade\.dev/cordoned-by}|{range .metadata.managedFields[?(@.fieldsV1.f:spec.f:unschedulable)]}{.manager}|{end}{"\n"}{end}') || return 1
    echo "$rows" | while IFS='|' read -r name version cordoned mark who; do
        holder=$(drains "$name")
        if [ -n "$holder" ]; then
            [ -z "$mark" ] || echo "$name $version drained $mark $holder"
        elif [ "$cordoned" = true ] && [ -n "$who" ]; then
            if [ -z "$(echo "$who" | tr '|' '\n' | sed -e '/^$/d' -e "/^$NAME\$/d")" ]; then
                echo "$name $version cordon $mark"
            elif [ -n "$mark" ]; then
                echo "$name $version mark $mark"
            fi
        elif [ -n "$mark" ]; then
            echo "$name $version cordon $mark"
        fi
    done
}

# One request, refused where somebody was faster; then what is there now is judged anew.
give_back() {
    for _ in 1 2 3 4 5; do
        row=$(carried --field-selector "metadata.name=$1") || continue
        [ -n "$row" ] || return 0
        read -r _ version kind mark holder <<EOF
$row
EOF
        patch="{\"op\": \"test\", \"path\": \"/metadata/resourceVersion\", \"value\": \"$version\"}"
        [ -z "$mark" ] || patch="$patch, {\"op\": \"remove\", \"path\": \"/metadata/annotations/cniupgrade.dev~1cordoned-by\"}"
        case $kind in
        cordon)
            say "uncordoning $1"
            patch="$patch, {\"op\": \"add\", \"path\": \"/spec/unschedulable\", \"value\": false}"
            ;;
        drained) say "$1: $holder drains it: the cordon is left to them" ;;
        mark) say "$1: somebody else has cordoned it since; only our mark goes" ;;
        esac
        ! k patch node "$1" --type=json -p "[$patch]" >/dev/null || return 0
    done
    say "$1: it could not be given back in five tries"
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
    finalizers=$(list cniupgradepolicies.cniupgrade.dev "$1" -o 'jsonpath={range .metadata.finalizers[*]}{@}{"\n"}{end}') || return 1
    for name in $finalizers; do
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

# Wherever an error ends it from here on.
trap 'say "ended early; run it again"' EXIT

say "deleting the policies"
quiet delete cniupgradepolicies.cniupgrade.dev --all --wait=false

deadline=$(($(date +%s) + WAIT))
while :; do
    # Each in an assignment of its own: a list that fails is not an empty list.
    if ours=$(carried) && working=$(at_work) && held=$(held) && running=$(ready); then
        left=$(printf '%s\n%s\n%s\n' "$ours" "$working" "$held" | sed -e '/^$/d' -e 's/ .*//' | sort -u | tr '\n' ' ')
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
    else
        # Who does not know what is left does not stop the controller.
        [ "$(date +%s)" -lt "$deadline" ] || exit 1
        say "the API server does not tell what is left; asking again"
    fi
    sleep 5
done

# What it would keep from being deleted is deleted from here on.
for kind in validatingadmissionpolicybinding validatingadmissionpolicy; do
    quiet delete $kind --ignore-not-found cni-upgrade-guard
done

say "stopping the controller"
quiet -n $SYSTEM delete deployment $NAME --cascade=foreground --timeout="${PATIENCE}s" ||
    say "the controller's node does not answer"

held=$(held)
for policy in $held; do
    say "policy $policy: nobody is left to give back what it changed; its nodes keep it"
    let_go "$policy" || say "policy $policy: its finalizer could not be taken off"
done

# Foreground: a Job is gone when its pods are; an agent in the middle of a write ends its write.
say "taking back the agents and proof pods"
quiet -n $AGENTS delete jobs --all --cascade=foreground --timeout="${PATIENCE}s" ||
    say "a node does not answer: its agent goes when the node is back"
# Where the config of its node cannot delete pods it would hang until somebody mends that, and its namespace with it.
if ! quiet -n $PROOF delete pods --all --timeout="${PROOFS}s"; then
    say "taking away by force what its node cannot delete, where an address may stay taken:" \
        "$(list -n $PROOF pods -o 'jsonpath={range .items[*]}{.metadata.name} on {.spec.nodeName} {end}')"
    quiet -n $PROOF delete pods --all --grace-period=0 --force --timeout="${PATIENCE}s" ||
        say "a proof pod is still there"
fi

ours=$(carried)
for node in $(echo "$ours" | sed 's/ .*//'); do
    # Nobody is to upgrade a node that takes pods again.
    quiet annotate node "$node" cniupgrade.dev/ready-for-upgrade- ||
        say "$node: it may still be announced as ready for its upgrade"
    give_back "$node"
done
# Ours would keep others from the nodes for up to 15 minutes; they go once the nodes are given back.
leases=$(leases)
for lease in $(echo "$leases" | sed -n "s/^\(node-[^|]*\)|$NAME\$/\1/p"); do
    quiet -n "$LEASES" delete leases.coordination.k8s.io "$lease"
done

say "deleting the rest"
# The admission policies before the ConfigMap that they read.
for kind in validatingadmissionpolicybinding validatingadmissionpolicy; do
    quiet delete $kind --ignore-not-found cni-upgrade-agent-pods cni-upgrade-agent-pods-fixed cni-upgrade-agent-pods-bound \
        cni-upgrade-agent-pods-stopped cni-upgrade-agent-pods-closed cni-upgrade-agents-sent cni-upgrade-nodes-apart \
        cni-upgrade-node-writes cni-upgrade-policy-writes cni-upgrade-guard
done
for crd in $CRDS; do
    quiet delete customresourcedefinition "$crd" --timeout="${PATIENCE}s" ||
        say "something holds one of the $crd: see its finalizers"
done
# One that is gone already would be an error, after which kubectl waits for none of the others.
quiet delete namespace $AGENTS $PROOF $SYSTEM --ignore-not-found --timeout="${PATIENCE}s" || say "a namespace is not gone yet"
for space in default kube-system kube-flannel "$LEASES"; do
    quiet -n "$space" delete --ignore-not-found rolebinding/$NAME role/$NAME rolebinding/$NAME-terway role/$NAME-terway
done
quiet delete --ignore-not-found clusterrolebinding/$NAME clusterrole/$NAME \
    clusterrole/cni-upgrade-view clusterrole/cni-upgrade-edit \
    clusterrolebinding/cni-upgrade-retire clusterrole/cni-upgrade-retire \
    priorityclass/cni-upgrade-agent priorityclass/cni-upgrade-controller

left=
ours=$(carried)
ours=$(echo "$ours" | sed 's/ .*//')
[ -z "$ours" ] || left="$left; cordoned by us: $(echo "$ours" | tr '\n' ' ')"
for kind in namespace customresourcedefinition; do
    there=$(list $kind -o name)
    for name in $AGENTS $PROOF $SYSTEM $CRDS; do
        case "$there" in *"/$name"*) left="$left; $kind $name" ;; esac
    done
done
trap - EXIT
if [ -n "$left" ]; then
    say "left: ${left#; }"
    exit 1
fi
say "done: no cordon, no Job and no finalizer of the operator is left"
