"""A finished study as one HTML file: facts are gathered, put into sections, and the sections into a page.

The page holds everything itself (figures as SVG, no script, no address of anything), so that it can be read offline,
printed, mailed, and looked at in ten years. The figures are matplotlib's, which draws the PNGs too: a figure that moves
would cost each report plotly's four megabytes. Whatever is shown comes from files and people, so the template escapes
all of it, and the page forbids itself to run anything.
"""
