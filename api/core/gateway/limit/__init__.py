"""What callers may ask: their limits, and what a call would cost."""
