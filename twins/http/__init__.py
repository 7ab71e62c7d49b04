"""The doors of HTTP: who may come in, how large a body may be, and readings by POST.

Promise: a 2xx leaves only after the commit, every refusal says in JSON what to do, and a stranger's bytes cost no more
than their number. Reason: whoever sends readings retries what was not acknowledged and forgets what was. May not be
imported by services, selectors or tasks.
"""
