"""The imperative shell: the engine, and one reconciler per kind."""
