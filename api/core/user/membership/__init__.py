"""Where people are members, as organization says: by this they are found."""
