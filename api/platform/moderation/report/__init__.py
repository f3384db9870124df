"""Reports: what people find wrong."""
