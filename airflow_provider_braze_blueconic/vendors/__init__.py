"""What is true of Braze and BlueConic, whoever asks: names, limits, paths. The standard library only."""
