"""What each nn op becomes at df, a file per kind of op."""
