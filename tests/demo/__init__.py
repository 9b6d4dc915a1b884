"""The demo: both faults on real nodes, cured before your eyes."""
