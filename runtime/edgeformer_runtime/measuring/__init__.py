"""What a measurement is made of: instruments, sampling, steadiness, energy, heat, and what follows from them."""
