"""Engagement: what people are told, and how they talk to each other."""
