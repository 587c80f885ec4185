"""The command line: the roof. It reads arguments, calls a use case of `ltrec.run`, and prints."""
