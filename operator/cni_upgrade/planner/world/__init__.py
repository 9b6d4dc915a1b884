"""What the planner is given and what it returns: snapshot, configuration, decisions."""
