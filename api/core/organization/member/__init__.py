"""Members: what an organization keeps of its people, and how memberships end."""
