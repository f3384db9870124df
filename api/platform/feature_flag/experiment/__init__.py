"""Experiments: whether a variant of a flag helped, by people, classes or organizations."""
