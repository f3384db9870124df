"""Servers that stand where push services and providers of text messages do, and check what those check."""
