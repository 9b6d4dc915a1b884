"""Which node of a policy may start: canary, waves, failure budget, progress."""
