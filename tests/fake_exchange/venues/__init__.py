"""One file an exchange, each with a class ``Venue``."""
