"""Recipes: settings known to go together, as Python functions. An option on the command line wins over them."""
