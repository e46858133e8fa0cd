"""One engine for all windows, the window's side: find it or start it, ask it over a socket, outlive it."""
