"""What the register said at an instant, and who changed what, when, from where and why.

Promise: every change of every table of the register is kept, whoever made it and however (services, bulk writes,
`queryset.update`, COPY, plain SQL, TRUNCATE), because triggers of the database write it; and `as_of(instant)` is
exactly what a reader saw at that instant, for ever the same.

How. An AFTER trigger of each *statement* copies the rows it wrote from the transition tables into versions, so that
bulk work stays bulk work; a row that was written and did not change leaves none. Versions are never rewritten. Those of
one transaction hang on one `Change`. Its instant is that of the *commit*: a transaction is stamped as the last thing it
does, under a lock that it holds until it has committed, so that instants have the order of commits. (The transaction's
start, as `now()` gives it, would put changes into a past that others have read already.) Before it reads, `as_of` waits
for those between stamp and commit, which is the time of one fsync.

Who and why travel in a setting of the transaction, made by the services once a call (`origin`); nothing is added to any
other statement. Written past the services, the source of a change is `sql`.

History begins with the first migration that keeps it; what stood then is its first version. It is never thinned out:
a version of an asset takes 250 bytes with its indexes and one of a sensor 200, so 100,000 assets and 400,000 sensors,
each changed ten times, take about 1.1 GB. Nothing here may import services, selectors or the admin.
"""

from assets.history.log import Difference, RowChange, changes_of
from assets.history.origin import Origin, origin, request_id
from assets.history.past import as_of, past_tables, settle

__all__ = [
    "Difference",
    "Origin",
    "RowChange",
    "as_of",
    "changes_of",
    "origin",
    "past_tables",
    "request_id",
    "settle",
]
