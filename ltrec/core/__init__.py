"""Ground floor: the nouns every other floor speaks. Values and pure functions only; no files beyond atomic writes."""
