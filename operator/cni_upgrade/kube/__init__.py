"""What is asked of Kubernetes, and the one implementation that asks it."""
