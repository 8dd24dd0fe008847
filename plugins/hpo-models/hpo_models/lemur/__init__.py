"""LEMUR: networks written for it are trained as they are, and models of ours are written as files for it."""
