"""What runs: one table of services per namespace, and how they are put on Ray Serve."""
