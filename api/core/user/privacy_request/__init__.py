"""Privacy requests: erase or export the data about a person. Each service does its part; this part of user coordinates them."""
