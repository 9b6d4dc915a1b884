"""Limits on what may start: budgets, maintenance windows, the emergency stop."""
