"""Warm-up: a new sender sends few letters a day at first, then more, so that receivers come to trust it."""
