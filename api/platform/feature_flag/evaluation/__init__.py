"""Evaluating flags for clients of others: OFREP, and definitions for flagd's in-process providers."""
