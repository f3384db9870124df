"""Blocks of working outlines: what authors build."""
