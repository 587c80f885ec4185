"""Stratified gradients under DeepSpeed ZeRO. Importing this package does not import DeepSpeed."""
