"""Co-training of a model with recorded responses, and what it changes for neuroids and stimuli kept apart."""
