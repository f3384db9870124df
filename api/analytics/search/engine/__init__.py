"""What is sent to OpenSearch: the form of an index, documents, questions."""
