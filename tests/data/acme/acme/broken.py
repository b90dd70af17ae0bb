"""A part that needs something this machine does not have."""

import acme_library_that_is_not_installed  # noqa: F401 - that it fails is what it is here for
