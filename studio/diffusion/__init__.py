"""Networks, solvers and weights: a room that may import torch."""
