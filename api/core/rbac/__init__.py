"""Rights: built-in and custom roles, and the grants that give them to people at a place."""
