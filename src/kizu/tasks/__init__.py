"""What a command does, from its options to written results: the command line and the service are thin faces of it."""
