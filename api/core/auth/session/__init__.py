"""Sessions: sign in, refresh, list and end them."""
