"""Moderation: judges what people write, by published clauses, with reasons and appeals."""
