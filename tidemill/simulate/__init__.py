"""`tidemill simulate`: what a definition would do, played ahead of time by the code that decides it in the streams."""
