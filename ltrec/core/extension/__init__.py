"""What lets others add to ltrec: registries of variants, imported packages, optional libraries, classes by path."""
