"""What an attempt may do and use: decided before it starts, and carried out by the process itself before its exec."""
