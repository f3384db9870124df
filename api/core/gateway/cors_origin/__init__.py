"""Origins: whose pages may ask from a browser (CORS)."""
