"""Actors: objects that live in processes of their own. `Actor` is one, `ActorGroup` one a piece of data."""
