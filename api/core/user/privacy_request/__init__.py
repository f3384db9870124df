"""Privacy requests: erase or export what is kept about a person. Each service does its part; this keeps the whole together."""
