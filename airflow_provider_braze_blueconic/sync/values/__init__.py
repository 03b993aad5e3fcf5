"""Values that both vendors write alike: texts, times, space, characters and e-mail addresses."""
