"""What the API's functions return: frozen dataclasses with `to_dict()`."""
