"""Networks that follow a picture."""
