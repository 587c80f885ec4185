"""Using a trained model: recommendations for known users (`predict`)."""
