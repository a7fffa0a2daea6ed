"""The winning weights as other programs read them."""
