"""The state of one watched sensor as a row of numbers: what each place means, and the constants of the detector.

Apart from the compiled loop, so that reading a state does not compile anything.
"""

BLOCK, WINDOW, KEPT = 4, 6, 1000
"""Readings of a mean, means of a window, and means that are kept to compare with."""
APART = 12
"""Blocks between a window and those it is compared with, because neighbours are alike."""
WARM = 100
"""Blocks before anything can be unlike the rest."""
HALF_LIFE, SHORTEST = 0.4, 20.0
"""Half-life of the maximum as a share of the stream's age, and the shortest, in blocks."""
RISES = -0.3
"""Log of novelty over its decaying maximum at which it is an onset."""
REST = 24
"""Blocks without such novelty before the next onset."""
SURELY = 0.7
"""Log of novelty that is an onset even where much is a little novel: twice what was most novel so far."""
RESOLUTION = 1e-9
"""Relative distance below which two windows are equal, whatever rounding says."""
CHANGES = 20
"""Changes of value before standing still can mean anything."""
STUCK, STUCK_TIMES = 30.0, 5.0
"""Equal readings that are a flat line: at least so many, and so many times the longest run before."""
SILENT = 10.0
"""Usual intervals without a reading that are a gap."""
LEARNED = 20.0
"""Intervals seen before a gap can be told from a slow sensor."""

NUMBER = 1.0
"""Version of this layout."""
AT_VERSION, AT_BLOCKS, AT_SUM, AT_COUNT = 0, 1, 2, 3
AT_TOP, AT_ROSE = 4, 5
"""The decaying maximum, and the block in which novelty last rose near it."""
AT_TIME, AT_VALUE = 6, 7
"""The newest reading; microseconds since 1970 are exact in 53 bits until the year 2255."""
AT_RUN, AT_SINCE, AT_LONGEST, AT_CHANGED, AT_FLAT = 8, 9, 10, 11, 12
"""Equal readings now and since when, the longest such run before, changes seen, and whether it is called stuck."""
AT_EVERY, AT_SEEN, AT_GONE = 13, 14, 15
"""Usual interval in microseconds, intervals seen, and whether it is called silent."""
AT_OUT = 16
"""Whether it is outside its limits."""
AT_TOLD = 17
"""The block of the last onset."""
HEAD = 20
"""Block means follow from here as a ring."""
STATE_SIZE = HEAD + KEPT
"""Numbers in the state of one sensor."""
RECENT = 192
"""Most means that are stored apart from a state, with its head; what is more would not lie beside its key."""
