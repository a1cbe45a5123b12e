"""The migration's notebooks, one module each: their steps, in order, and what takes each step back."""
