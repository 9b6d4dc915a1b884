#!/bin/sh
# crds/ must be what the models say. Shows what differs.
set -eu
cd "$(dirname "$0")/.."
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
PYTHONPATH=operator "${PY:-.venv/bin/python}" -m cni_upgrade.api.crd "$made" >/dev/null
diff -ru --exclude=kustomization.yaml crds "$made" || {
    echo "crds/ is not what the models say: make crds" >&2
    exit 1
}
echo "crds/ is what the models say"
