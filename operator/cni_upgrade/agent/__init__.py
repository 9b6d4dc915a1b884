"""What happens on one node: reads, probes plugins, writes files, reports."""
