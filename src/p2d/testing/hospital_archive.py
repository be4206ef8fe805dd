"""A synthetic hospital behind the test archive, as a process: ``python -m p2d.testing.hospital_archive``.

Pixels are rendered when an image is retrieved; what is held is made anew from the seed.
"""

import argparse

from p2d.testing.archive import serve_archive
from p2d.testing.hospital import generate


def main() -> None:
    """Serve the hospital that the arguments describe, on loopback, until stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--max-images", type=int, required=True)
    parser.add_argument("--canary", action="store_true")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ae-title", required=True)
    asked = parser.parse_args()
    hospital = generate(asked.patients, asked.seed, asked.max_images, canary=asked.canary)
    serve_archive(hospital, asked.port, asked.ae_title, peers={})


if __name__ == "__main__":
    main()
