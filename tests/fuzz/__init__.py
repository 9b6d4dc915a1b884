"""Any bytes at all, given to what reads files and messages that others wrote."""
