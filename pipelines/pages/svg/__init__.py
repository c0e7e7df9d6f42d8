"""Pictures as inline SVG: bars, dots, histograms, steps, areas and scatters.

In: labels and numbers. Out: `Html`, the same bytes for the same numbers.
Shown by: `gristmill page web/clean --out page.html`. Limit: no interaction but titles on hover.

Colours are classes of the page's style sheet, so that a picture follows the reader's dark mode. The
numbers of every picture stand in a table beside it.
"""
