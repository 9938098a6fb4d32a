"""What a model is made of: its configuration, and the modules that an engine builds of it."""
