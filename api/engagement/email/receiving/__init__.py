"""Mail that comes in: bounces, complaints, and answers to letters."""
