"""The engine of Latent Studio: documents, nodes, plans, caches, files and the worker. No Qt."""
