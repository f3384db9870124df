"""Senders: in whose name letters go out."""
