#!/bin/sh
# One clear line for what is missing on this machine, before anything is built.
# usage: preflight.sh NEED...   (python, venv, go, root)
# `python` prints the interpreter to use. Set PYTHON to choose one.
set -eu

fail() {
    echo "preflight: $1" >&2
    exit 1
}

python() {
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "python3 >= 3.11 is missing${PYTHON:+ (PYTHON=$PYTHON)}; on Debian 12: apt-get install python3 python3-venv"
}

for need in "$@"; do
    case $need in
    python) python ;;
    venv)
        interpreter=$(python)
        "$interpreter" -c 'import ensurepip, venv' 2>/dev/null && continue
        # Debian ships the module apart. Root on such a machine gets it; others are told.
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            echo "preflight: installing python3-venv" >&2
            export DEBIAN_FRONTEND=noninteractive
            apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends python3-venv >/dev/null 2>&1 ||
                { apt-get update >/dev/null && apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends python3-venv >/dev/null; } ||
                fail "cannot install python3-venv"
        else
            fail "$interpreter has no venv module; on Debian: apt-get install python3-venv"
        fi
        ;;
    go) command -v go >/dev/null || fail "go is missing (1.26 is what the test cluster's parts are built with)" ;;
    root) [ "$(id -u)" = 0 ] || fail "needs root: nodes are network and mount namespaces of this machine" ;;
    *) fail "unknown need: $need" ;;
    esac
done
