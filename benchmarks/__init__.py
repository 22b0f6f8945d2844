"""What the search engine gains over a loop that renders and classifies one image per call: `make bench`."""
