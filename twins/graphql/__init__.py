"""The API: one nested, typed query from system to product to part and back up.

Promise: whatever is asked in one operation, the number of SQL statements and of lake scans follows the selection and
never the size of the tree, and its cost is known before it runs. Reason: a screen is one query, and a query of a
stranger must not stop the server. Resolvers are one line to a selector; nothing here writes except through
`twins.services`. Not to be imported by services or tasks.
"""
