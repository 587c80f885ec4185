"""The report: one HTML page with plots and text. It shows the results of evaluation and computes no metrics itself."""
