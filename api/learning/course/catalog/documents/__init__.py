"""Published courses as documents that the search finds: what the catalogue lists."""
