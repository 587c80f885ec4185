"""The report: one HTML page with plots and words. Reads what evaluation left; computes nothing of its own."""
