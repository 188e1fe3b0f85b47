"""Action recognition: settings, recipes, data, training, evaluation, prediction."""
