"""Single blocks over the number of positions N: time and memory, beside their convolutions and the published form."""
