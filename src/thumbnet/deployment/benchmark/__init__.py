"""How fast a run's networks are beside its teacher, and how much memory they take."""
