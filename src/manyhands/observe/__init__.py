"""How far the work is and what goes on: for the eyes of users. Floor 6."""
