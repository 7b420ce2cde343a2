"""The command line: parses, calls a service, renders. Commands are imported when they run."""
