"""Pictures that a model is told or shown."""
