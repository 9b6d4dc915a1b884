"""Lives pods of many chains with many releases of plugins, and holds the engine's verdicts to it."""
