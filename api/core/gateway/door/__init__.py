"""The rules of the door as every process asks for them."""
