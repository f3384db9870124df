"""Delivery: letters that wait are handed over to a mail server, lane by lane, and what it answers is kept."""
