"""Converters: published checkpoints that are not safe to load, as safetensors."""
