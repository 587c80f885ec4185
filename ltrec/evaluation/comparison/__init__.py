"""Two scorers side by side: users paired, differences with intervals, and the gate."""
