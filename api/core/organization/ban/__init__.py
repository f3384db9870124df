"""Bans: moderators' decisions that keep a person out of an organization."""
