"""Names in a config become objects: data, model, loss, strategy, loggers."""
