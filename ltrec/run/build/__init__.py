"""Config -> objects: data, model, loss, strategy, loggers."""
