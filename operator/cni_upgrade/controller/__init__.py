"""Room controller: receives events, calls the planner, carries out what it decides."""
