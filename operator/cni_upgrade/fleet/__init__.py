"""Room fleet: the planner: what should happen next to which node, as a pure function."""
