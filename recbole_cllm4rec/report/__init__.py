"""What a run leaves behind: a JSON file, the configuration that made it, and a row on the screen."""
