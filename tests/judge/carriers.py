"""A release of each runtime for each libcni that is asked: the one that carries it."""

CONTAINERD = {
    "0.8.1": "containerd://1.5.8",
    "1.0.1": "containerd://1.6.2",
    "1.1.2": "containerd://1.7.30",
    "1.2.3": "containerd://2.0.14",
    "1.3.0": "containerd://2.1.3",
}
CRIO = {
    "0.8.1": "cri-o://1.22.0",
    "1.0.1": "cri-o://1.23.0",
    "1.1.2": "cri-o://1.25.0",
    "1.2.3": "cri-o://1.31.0",
    "1.3.0": "cri-o://1.33.0",
}
