"""The contract between controller and agent: operation, result, report."""
