"""Person re-identification: settings, recipes, data, training, evaluation."""
