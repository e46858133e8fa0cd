"""One engine for all windows, the engine's side: a process that holds the model and serves it to several."""
