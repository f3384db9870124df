"""Categories: how the line items of a run make its total."""
