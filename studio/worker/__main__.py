"""``python -m studio.worker ADDRESS CACHE_DIR``: the engine process, started by `studio.worker.client`."""

import sys

from studio.worker.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
