"""Where results lie. Imports nothing, so that a command can look without reading."""

STORE = "store"  # folder of the results below the output folder
