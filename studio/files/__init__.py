"""Documents on disk: workflow files, their migrations, pictures that carry a graph."""
