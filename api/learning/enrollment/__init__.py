"""Enrolments: one per person and run, for ever, whose state moves."""
