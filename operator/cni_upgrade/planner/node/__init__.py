"""What is known of one node, and what is asked about it."""
