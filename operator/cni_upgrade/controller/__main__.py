"""`python -m cni_upgrade.controller`: what the operator image runs."""

import signal
import sys


def start() -> None:
    """Runs the controller, or says how to get what it needs and the command line does without.

    Told to end before it has begun, while its libraries are read, it ends with 0. As PID 1 of its
    container it would not hear that at all (signal(7)): it would go on until the kubelet kills it
    half a minute later, and could win the lease meanwhile.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        from cni_upgrade.controller.main import main
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("cni_upgrade"):
            raise
        sys.exit(
            f"cni-upgrade-controller: {error.name} is not installed; the controller needs "
            "`pip install '.[operator]'` in its source tree"
        )
    main()


if __name__ == "__main__":
    start()
