"""Networks that turn sequences into states and states into item scores. They know neither losses nor data sets."""
