"""A model version trained again from its record (`training`), and compared with it (`comparing`)."""
