"""JupyterLab's own tests in a browser, on a stock server and on ours: the same pass, or it is said why not.

`scripts/galata` runs it, by hand: it takes the better part of an hour. The tests (specs) and their library (galata) are
those of the installed JupyterLab, from its source distribution; what runs them comes from npm (`page/yarn.lock`).

    suite      the specs and what runs them, in `build/galata`
    servers    the two servers: one environment, one configuration, the same names of kernels
    specs      one run of Playwright over chosen specs, and what became of each test
    compare    two such outcomes beside each other, and the verdict (pure)
    report     the same as a table, kept in RESULT.md

Pictures are not compared, on either side (Playwright's `ignoreSnapshots`): they are of JupyterLab's own machine with its
fonts. Everything else of such a test is still asked. A test passes when it passes in one of two tries, on either side.
`chosen.txt` names the files of specs, `explained.txt` the tests that pass on the stock server only, each with its reason.
"""
