"""Data sets: is one complete, and from archives to the layout that is read."""
