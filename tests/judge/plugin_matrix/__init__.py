"""Lives pods of many chains with many releases of plugins; holds the engine's verdicts to it."""
