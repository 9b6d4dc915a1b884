#!/bin/sh
# The chart's files/ are the shipped manifests: `hack/chart.sh` copies them, `--check` shows what differs.
set -eu
cd "$(dirname "$0")/.."
files=charts/cni-upgrade-operator/files
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
mkdir "$made/crds"
cp crds/cniupgrade.dev_*.yaml "$made/crds"
for name in namespaces priority rbac roles config admission deployment; do
    cp "manifests/$name.yaml" "$made"
done
for name in podmonitor.yaml prometheusrule.yaml dashboard.json; do
    cp "manifests/components/monitoring/$name" "$made"
done
cp manifests/prune/annotations.yaml "$made/prune.yaml"
# Without the namespace, which another operator may own.
sed '1,/^---$/d' manifests/leases/medik8s.yaml >"$made/medik8s.yaml"
if [ "${1:-}" = --check ]; then
    diff -ru "$files" "$made" || {
        echo "charts/ is not what the manifests say: make chart" >&2
        exit 1
    }
    echo "charts/ is what the manifests say"
else
    rm -rf "$files"
    mkdir -p "$files"
    cp -R "$made/." "$files"
fi
