"""Data sets: is one whole, and from archives to the layout that is read."""
