"""`python -m cni_upgrade.controller`: what the operator image runs."""

from cni_upgrade.controller.main import main

main()
