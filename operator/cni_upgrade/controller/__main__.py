"""`python -m cni_upgrade.controller`: what the operator image runs."""

import sys


def start() -> None:
    """Runs the controller, or says how to get what it needs and the command line does without."""
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
