"""What users are to training and evaluation: their targets, where their training ends (splits), and their activity strata."""
