"""Networks from model files, whatever their layout."""
