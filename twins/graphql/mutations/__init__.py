"""What can be changed over the API: the register, through the services that the admin uses, and readings.

Promise: each field is one transaction that is carried out whole or not at all; what the register or the rights of the
user do not allow is a typed answer, not an error; with a `key` a repeat gets the first answer and does nothing; a query
right after it shows what was changed. Reason: integrators retry, and have to know what became of each row. Nothing here
writes except through `assets.services`, `assets.importing` and `twins.services`.
"""

from twins.graphql.mutations.register import Mutation

__all__ = ["Mutation"]
