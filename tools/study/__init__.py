"""Studies: measurements behind docs/results.md that are no verb of the command line."""
