"""Extension points: registries of variants, imported packages, optional libraries, classes by path."""
