"""What moderators see of blocks, and what becomes of a block by their decisions."""
