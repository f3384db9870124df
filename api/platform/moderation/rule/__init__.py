"""Rules: words, patterns and addresses by which texts are screened before they are stored."""
