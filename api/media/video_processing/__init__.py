"""Films: an upload becomes a film that plays everywhere, encoded in pieces that may each be repeated."""
