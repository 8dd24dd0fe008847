"""Contract suites: pytest classes that a plugin's tests subclass to show that its components keep their promises."""
