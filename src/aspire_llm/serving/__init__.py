"""A finished run behind HTTP: the page and what it asks."""
