# Two images from one recipe:
#   --target agent      what runs on a node for seconds: Python, jsonpatch, the packages cni/ and agent/
#   --target operator   the controller: Python, the locked dependencies, the whole package
#
# BASE only builds. Both targets start from scratch and get the interpreter with the libraries that it
# links against: no shell, no package manager, nothing else for a process on a node to start.
# BASE needs python3 >= 3.11 with venv, glibc, ldd and ldconfig. `hack/image.py` makes one with debootstrap, which
# is how the project builds and tests its images. The default below is the public one; it was NOT tried
# where this was written, for no public image can be pulled there.
ARG BASE=python:3.11-slim-bookworm

# --- agent ---------------------------------------------------------------------------------------
FROM ${BASE} AS agent-build
COPY hack/python_runtime.py /build/
COPY requirements/agent.txt /build/
RUN python3 -m venv /build/venv \
 && /build/venv/bin/pip install --quiet --no-compile --only-binary :all: --require-hashes \
      --target /rootfs/app -r /build/agent.txt
COPY operator/cni_upgrade/__init__.py /rootfs/app/cni_upgrade/
COPY operator/cni_upgrade/cni /rootfs/app/cni_upgrade/cni
COPY operator/cni_upgrade/agent /rootfs/app/cni_upgrade/agent
RUN python3 /build/python_runtime.py /rootfs && mv /rootfs/app /app

FROM scratch AS agent
ARG VERSION=0.0.0
LABEL org.opencontainers.image.title="cni-upgrade-agent" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
# Python in a layer of its own: a new release of the agent is a few hundred kB to a node.
COPY --from=agent-build /rootfs /
COPY --from=agent-build /app /app
ENV PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8
WORKDIR /
# The files that it mends belong to root; its pod drops every capability.
USER 0:0
# -I: neither PYTHON* variables nor the working folder add code. -B: the root is read-only. -u: the log is whole.
ENTRYPOINT ["python3", "-I", "-B", "-u", "-m", "cni_upgrade.agent.agent"]

# --- operator ------------------------------------------------------------------------------------
FROM ${BASE} AS operator-build
COPY hack/python_runtime.py /build/
COPY requirements/operator.txt /build/
RUN python3 -m venv /build/venv \
 && /build/venv/bin/pip install --quiet --no-compile --only-binary :all: --require-hashes \
      --target /rootfs/app -r /build/operator.txt
COPY operator/cni_upgrade /rootfs/app/cni_upgrade
RUN python3 /build/python_runtime.py /rootfs

FROM scratch AS operator
ARG VERSION=0.0.0
LABEL org.opencontainers.image.title="cni-upgrade-operator" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=operator-build /rootfs /
ENV PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /
USER 65532:65532
ENTRYPOINT ["python3", "-P", "-m", "cni_upgrade.controller"]
