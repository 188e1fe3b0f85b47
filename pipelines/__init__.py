"""Pipelines: what is done with models, data and scores: training, evaluation, prediction, embedding, search, export."""
