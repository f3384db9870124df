"""What leaves a transaction at its commit: the outbox, broadcasts to every replica, and signals that wake workers."""
