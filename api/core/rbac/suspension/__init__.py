"""Suspensions: grants of a member, or of everybody in an organization, that rest."""
