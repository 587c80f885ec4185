"""Networks that turn sequences into states and states into item scores. Independent of losses and data sets."""
