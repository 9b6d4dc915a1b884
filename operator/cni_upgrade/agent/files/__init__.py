"""What is written to a node's disk, and in what order: transaction, journal, backups."""
